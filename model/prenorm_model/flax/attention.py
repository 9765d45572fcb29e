"""Multi-head attention, to the sequence itself or to an encoder's states, with its norm before and its residual after."""

from __future__ import annotations

import math
from collections.abc import Iterator

import jax
from flax import nnx
from jax import Array
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.cache import add_layer
from prenorm_model.flax.context import FlaxCollected, FlaxContext
from prenorm_model.flax.dropout import drop
from prenorm_model.flax.linear import Making, linear, norm, table


class FlaxMultiHeadAttention(nnx.Module):
    """softmax(q k^T / sqrt(d)) v per head (Vaswani et al. 2017, arXiv:1706.03762).

    Shifted by relative positions where the config says so (Shaw et al. 2018, arXiv:1803.02155; Huang et al. 2020,
    arXiv:2009.13658).

    Args:
        config: the model's configuration.
        layer: the layer's number, from 0.
        making: how parameters are made.
        is_cross: whether to attend to an encoder's states.
    """

    def __init__(
        self, config: RobertaPreLayerNormConfig, layer: int, making: Making, *, is_cross: bool = False
    ) -> None:
        self.layer = layer
        self.is_cross = is_cross
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = linear(config.hidden_size, config.hidden_size, making)
        self.key = linear(config.hidden_size, config.hidden_size, making)
        self.value = linear(config.hidden_size, config.hidden_size, making)
        self.dropout = config.attention_probs_dropout_prob
        self.relative = "absolute" if is_cross else config.position_embedding_type
        if self.relative != "absolute":
            self.max_positions = config.max_position_embeddings
            self.distance_embedding = table(2 * self.max_positions - 1, self.head_size, making)

    def __call__(self, x: Array, context: FlaxContext, collected: FlaxCollected) -> Array:
        """Mix the values of the tokens that each token attends to.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing and dropout.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        states = x if context.cross_states is None or not self.is_cross else context.cross_states
        query = self._heads(self.query(x), context)
        key, value = (self._heads(part(states), context) for part in (self.key, self.value))
        past: Array | int = 0
        order = "bkhd"
        if collected.cache is not None and not self.is_cross:
            past, order = collected.cache["length"], "bhkd"
            key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)
            collected.cache, key, value = add_layer(collected.cache, self.layer, key, value)
        weights = self._weights(query, key, order, past, context)
        if collected.keeps_weights:
            (collected.cross_attentions if self.is_cross else collected.attentions).append(weights)
        mixed = jnp.einsum(f"bhqk,{order}->bqhd", weights, value)
        mixed = mixed.reshape(*mixed.shape[:2], self.num_heads * self.head_size)
        return mixed if context.packing is None else context.packing.pack(mixed)

    def _heads(self, x: Array, context: FlaxContext) -> Array:
        """[batch, length, hidden], or [tokens, hidden] -> [batch, length, heads, head size]."""
        # The axes stay in this order, and products name them: XLA would copy what is transposed.
        spread = x if context.packing is None or x.ndim == 3 else context.packing.unpack(x)
        return spread.reshape(*spread.shape[:2], self.num_heads, self.head_size)

    def _weights(self, query: Array, key: Array, order: str, past: Array | int, context: FlaxContext) -> Array:
        """Return the attention weights, [batch, heads, queries, keys], of keys in an order of axes."""
        scores = jnp.einsum(f"bqhd,{order}->bhqk", query, key)
        for term in self._relative_terms(query, key, order, past):
            scores = scores + term
        scores = scores / math.sqrt(self.head_size)
        mask = context.cross_mask if self.is_cross else context.mask
        if mask is not None and mask.dtype == bool:
            scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
        elif mask is not None:
            scores = scores + mask.astype(scores.dtype)
        # Half precision sums up too few digits.
        wide = jnp.promote_types(scores.dtype, jnp.float32)
        weights = jax.nn.softmax(scores.astype(wide), axis=-1).astype(scores.dtype)
        weights = drop(self.dropout, weights, context.dropout_key)
        return weights if context.head_mask is None else weights * context.head_mask[self.layer].astype(weights.dtype)

    def _relative_terms(self, query: Array, key: Array, order: str, past: Array | int) -> Iterator[Array]:
        """Yield what relative positions add to the scores: of the query, and for `relative_key_query` of the key too."""
        if self.relative == "absolute":
            return
        queries, keys = query.shape[1], key.shape[order.index("k")]
        distance = past + jnp.arange(queries)[:, None] - jnp.arange(keys)[None, :]
        embedded = self.distance_embedding(jnp.maximum(distance + self.max_positions - 1, 0))  # [queries, keys, size]
        yield jnp.einsum("bqhd,qkd->bhqk", query, embedded)
        if self.relative == "relative_key_query":
            yield jnp.einsum(f"{order},qkd->bhqk", key, embedded)


class FlaxProjection(nnx.Module):
    """A linear map and dropout; the residual is added where the block can be read.

    Args:
        inputs: size of the last dimension of what goes in.
        outputs: size of the last dimension of what comes out.
        dropout: rate of the dropout, 0 to 1.
        making: how parameters are made.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float, making: Making) -> None:
        self.dense = linear(inputs, outputs, making)
        self.dropout = dropout

    def __call__(self, x: Array, context: FlaxContext) -> Array:
        """Project the last dimension.

        Args:
            x: [..., inputs].
            context: dropout.

        Returns:
            [..., outputs].
        """
        return drop(self.dropout, self.dense(x), context.dropout_key)


class FlaxAttention(nnx.Module):
    """x + project(attend(norm(x))).

    Args:
        config: the model's configuration.
        layer: the layer's number, from 0.
        making: how parameters are made.
        is_cross: whether to attend to an encoder's states.
    """

    def __init__(
        self, config: RobertaPreLayerNormConfig, layer: int, making: Making, *, is_cross: bool = False
    ) -> None:
        self.self = FlaxMultiHeadAttention(config, layer, making, is_cross=is_cross)
        self.output = FlaxProjection(config.hidden_size, config.hidden_size, config.hidden_dropout_prob, making)
        self.LayerNorm = norm(config, making)

    def __call__(self, x: Array, context: FlaxContext, collected: FlaxCollected) -> Array:
        """Compute the attention block.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing and dropout.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        return x + self.output(self.self(self.LayerNorm(x), context.at(0), collected), context.at(1))
