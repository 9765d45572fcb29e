"""Multi-head attention, to the sequence itself or to an encoder's states, with its norm before and its residual after."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.context import Collected, Context
from prenorm_model.torch.linear import apply_linear


class MultiHeadAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v per head (Vaswani et al. 2017, arXiv:1706.03762).

    Through torch's fused kernel; in plain operations where the weights themselves are wanted, masked by head, or shifted
    by relative positions (Shaw et al. 2018, arXiv:1803.02155; Huang et al. 2020, arXiv:2009.13658).

    Args:
        config: the model's configuration.
        layer: the layer's number, from 0.
        is_cross: whether to attend to an encoder's states.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, layer: int, *, is_cross: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.is_cross = is_cross
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.relative = "absolute" if is_cross else config.position_embedding_type
        if self.relative != "absolute":
            self.max_positions = config.max_position_embeddings
            self.distance_embedding = nn.Embedding(2 * self.max_positions - 1, self.head_size)

    def forward(self, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Mix the values of the tokens that each token attends to.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks and packing.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        if context.packing is not None and not self.is_cross:
            return self._packed(x, context.packing.lengths)
        query = self._heads(apply_linear(self.query, x))
        key, value = self._keys_and_values(x, context, collected.cache)
        mask = context.cross_mask if self.is_cross else context.mask
        head_mask = None if context.head_mask is None else context.head_mask[self.layer]
        if collected.keeps_weights or head_mask is not None or self.relative != "absolute":
            mixed, weights = self._plain(query, key, value, mask, head_mask)
            if collected.keeps_weights:
                (collected.cross_attentions if self.is_cross else collected.attentions).append(weights)
        else:
            is_causal = context.is_causal and not self.is_cross
            mask = mask.to(query.dtype) if mask is not None and mask.is_floating_point() else mask
            mixed = functional.scaled_dot_product_attention(
                query, key, value, None if is_causal else mask, dropout_p=self._rate, is_causal=is_causal
            )
        return mixed.transpose(1, 2).flatten(2)

    @property
    def _rate(self) -> float:
        """The dropout of the fused kernel, which does not know whether the module trains."""
        return self.dropout.p if self.training else 0.0

    def _heads(self, x: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, heads, length, head size]."""
        return x.view(*x.shape[:-1], self.num_heads, self.head_size).transpose(1, 2)

    def _keys_and_values(self, x: Tensor, context: Context, cache: KeyValueCache | None) -> tuple[Tensor, Tensor]:
        """Return those of the sequence, the cached ones before them; or those of the encoder's states, computed once."""
        if not self.is_cross:
            key, value = (self._heads(apply_linear(linear, x)) for linear in (self.key, self.value))
            return (key, value) if cache is None else cache.update(self.layer, key, value)
        if cache is not None and self.layer in cache.cross:
            return cache.cross[self.layer]
        assert context.cross_states is not None
        pair = self._heads(self.key(context.cross_states)), self._heads(self.value(context.cross_states))
        if cache is not None:
            cache.cross[self.layer] = pair
        return pair

    def _packed(self, x: Tensor, lengths: list[int]) -> Tensor:
        """Attend within each sequence of a packed batch: [tokens, hidden] -> the same."""
        split = (len(x), self.num_heads, self.head_size)
        parts = (
            torch.split(apply_linear(linear, x).view(split), lengths) for linear in (self.query, self.key, self.value)
        )
        mixed = [self._one_sequence(*sequence) for sequence in zip(*parts, strict=True)]
        return torch.cat(mixed).flatten(1)

    def _one_sequence(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend within one sequence: each [length, heads, head size] -> the same."""
        mixed = functional.scaled_dot_product_attention(
            query.transpose(0, 1)[None], key.transpose(0, 1)[None], value.transpose(0, 1)[None], dropout_p=self._rate
        )
        return mixed[0].transpose(0, 1)

    def _plain(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, head_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Attend in plain operations; return the mixed values, and the weights [batch, heads, queries, keys]."""
        scores = query @ key.transpose(-1, -2)
        for term in self._relative_terms(query, key):
            scores = scores + term
        scores = scores / math.sqrt(self.head_size)
        if mask is not None and mask.is_floating_point():
            scores = scores + mask.to(scores.dtype)
        elif mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights: Tensor = self.dropout(scores.softmax(dim=-1))
        if head_mask is not None:
            weights = weights * head_mask.to(weights.dtype)
        return weights @ value, weights

    def _relative_terms(self, query: Tensor, key: Tensor) -> Iterator[Tensor]:
        """Yield what relative positions add to the scores: of the query, and for `relative_key_query` of the key too."""
        if self.relative == "absolute":
            return
        queries, keys = query.shape[2], key.shape[2]
        rows = torch.arange(keys - queries, keys, device=query.device)[:, None]
        distance = rows - torch.arange(keys, device=query.device)[None, :]
        embedded = self.distance_embedding(distance + self.max_positions - 1).to(query.dtype)  # [queries, keys, size]
        yield torch.einsum("bhqd,qkd->bhqk", query, embedded)
        if self.relative == "relative_key_query":
            yield torch.einsum("bhkd,qkd->bhqk", key, embedded)


class Projection(nn.Module):
    """A linear map and dropout; the residual is added where the block can be read.

    Args:
        inputs: size of the last dimension of what goes in.
        outputs: size of the last dimension of what comes out.
        dropout: rate of the dropout, 0 to 1.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Project the last dimension.

        Args:
            x: [..., inputs].

        Returns:
            [..., outputs].
        """
        projected: Tensor = self.dropout(apply_linear(self.dense, x))
        return projected


class Attention(nn.Module):
    """x + project(attend(norm(x))).

    Args:
        config: the model's configuration.
        layer: the layer's number, from 0.
        is_cross: whether to attend to an encoder's states.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, layer: int, *, is_cross: bool = False) -> None:
        super().__init__()
        self.self = MultiHeadAttention(config, layer, is_cross=is_cross)
        self.output = Projection(config.hidden_size, config.hidden_size, config.hidden_dropout_prob)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Compute the attention block.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks and packing.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        attended: Tensor = x + self.output(self.self(self.LayerNorm(x), context, collected))
        return attended
