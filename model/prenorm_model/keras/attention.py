"""Multi-head attention, to the sequence itself or to an encoder's states, with its norm before and its residual after."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import ops

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.cache import KeyValueCache
from prenorm_model.keras.context import Collected, Context
from prenorm_model.keras.facts import Tensor, is_floating
from prenorm_model.keras.linear import Block, Linear, Norm, Table

# What takes the place of a masked score: its exponential is zero in every type, and none of the types overflows.
_MASKED = {"float16": -6e4}
_MASKED_ELSE = -1e30


class MultiHeadAttention(Block):
    """softmax(q k^T / sqrt(d)) v per head (Vaswani et al. 2017, arXiv:1706.03762).

    Where the config says so, shifted by relative positions (Shaw et al. 2018, arXiv:1803.02155; Huang et al. 2020,
    arXiv:2009.13658).

    Args:
        config: the model's configuration.
        layer: the layer's number, from 0.
        is_cross: whether to attend to an encoder's states.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, layer: int, *, is_cross: bool = False) -> None:
        super().__init__(name="self")
        self.layer = layer
        self.is_cross = is_cross
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = Linear(config.hidden_size, config.hidden_size, config, "query")
        self.key = Linear(config.hidden_size, config.hidden_size, config, "key")
        self.value = Linear(config.hidden_size, config.hidden_size, config, "value")
        self.dropout = keras.layers.Dropout(config.attention_probs_dropout_prob)
        self.relative = "absolute" if is_cross else config.position_embedding_type
        if self.relative != "absolute":
            self.max_positions = config.max_position_embeddings
            self.distance_embedding = Table(2 * self.max_positions - 1, self.head_size, config, "distance_embedding")

    def call(self, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Mix the values of the tokens that each token attends to.

        Args:
            x: [tokens, hidden].
            context: masks and packing.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        query = self._heads(context.packing.unpack(self.query(x)))
        key, value = self._keys_and_values(x, context, collected.cache)
        mask = context.cross_mask if self.is_cross else context.mask
        head_mask = None if context.head_mask is None else context.head_mask[self.layer]
        mixed, weights = self._attend(query, key, value, mask, head_mask)
        if collected.keeps_weights:
            (collected.cross_attentions if self.is_cross else collected.attentions).append(weights)
        rows = ops.transpose(mixed, (0, 2, 1, 3))
        return ops.reshape(context.packing.pack(rows), (-1, self.num_heads * self.head_size))

    def _heads(self, x: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, heads, length, head size]."""
        batch, length = ops.shape(x)[:2]
        return ops.transpose(ops.reshape(x, (batch, length, self.num_heads, self.head_size)), (0, 2, 1, 3))

    def _keys_and_values(self, x: Tensor, context: Context, cache: KeyValueCache | None) -> tuple[Tensor, Tensor]:
        """Return those of the sequence, the cached ones before them; or those of the encoder's states, computed once."""
        if not self.is_cross:
            key, value = (self._heads(context.packing.unpack(linear(x))) for linear in (self.key, self.value))
            return (key, value) if cache is None else cache.update(self.layer, key, value)
        if cache is not None and self.layer in cache.cross:
            return cache.cross[self.layer]
        assert context.cross_states is not None
        pair = self._heads(self.key(context.cross_states)), self._heads(self.value(context.cross_states))
        if cache is not None:
            cache.cross[self.layer] = pair
        return pair

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, head_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the mixed values, and the weights [batch, heads, queries, keys]."""
        query = query * (1 / math.sqrt(self.head_size))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        for term in self._relative_terms(query, key):
            scores = scores + term
        if mask is not None and is_floating(mask):
            scores = scores + ops.cast(mask, scores.dtype)
        elif mask is not None:
            least = _MASKED.get(keras.backend.standardize_dtype(scores.dtype), _MASKED_ELSE)
            scores = ops.where(mask, scores, ops.cast(least, scores.dtype))
        weights = self.dropout(ops.softmax(scores, axis=-1))
        if head_mask is not None:
            weights = weights * ops.cast(head_mask, weights.dtype)
        return ops.matmul(weights, value), weights

    def _relative_terms(self, query: Tensor, key: Tensor) -> Iterator[Tensor]:
        """Yield what relative positions add to the scores: of the query, and for `relative_key_query` of the key too.

        The query is divided by the root of the head's size already, the key is not.
        """
        if self.relative == "absolute":
            return
        queries, keys = ops.shape(query)[2], ops.shape(key)[2]
        rows = ops.arange(queries, dtype="int32")[:, None] + (keys - queries)
        distance = rows - ops.arange(keys, dtype="int32")[None, :]
        embedded = ops.cast(self.distance_embedding(distance + (self.max_positions - 1)), query.dtype)
        yield ops.einsum("bhqd,qkd->bhqk", query, embedded)
        if self.relative == "relative_key_query":
            yield ops.einsum("bhkd,qkd->bhqk", key * (1 / math.sqrt(self.head_size)), embedded)


class Projection(Block):
    """A linear map and dropout; the residual is added where the block can be read.

    Args:
        inputs: size of the last dimension of what goes in.
        config: the model's configuration.
    """

    def __init__(self, inputs: int, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="output")
        self.dense = Linear(inputs, config.hidden_size, config, "dense")
        self.dropout = keras.layers.Dropout(config.hidden_dropout_prob)

    def call(self, x: Tensor) -> Tensor:
        """Project the last dimension.

        Args:
            x: [..., inputs].

        Returns:
            [..., hidden].
        """
        return self.dropout(self.dense(x))


class Attention(Block):
    """x + project(attend(norm(x))).

    Args:
        config: the model's configuration.
        layer: the layer's number, from 0.
        is_cross: whether to attend to an encoder's states.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, layer: int, *, is_cross: bool = False) -> None:
        super().__init__(name="crossattention" if is_cross else "attention")
        self.self = MultiHeadAttention(config, layer, is_cross=is_cross)
        self.projection = Projection(config.hidden_size, config)
        self.LayerNorm = Norm(config, "LayerNorm")

    def call(self, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Compute the attention block.

        Args:
            x: [tokens, hidden].
            context: masks and packing.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        return x + self.output(self.self(self.LayerNorm(x), context=context, collected=collected))
