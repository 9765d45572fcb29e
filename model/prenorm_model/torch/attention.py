"""Multi-head attention, to the sequence itself or to an encoder's states, with its norm before and its residual after."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.packing import Packing


@dataclass
class Context:
    """What all layers of one forward share.

    `mask` and `cross_mask` are bool [batch, 1, 1 or queries, keys], true where to attend; None: everywhere. `causal` says
    that the mask is plainly causal, which the kernel knows how to do without one. `attentions` and `cross_attentions`
    gather the weights, where they are asked for.
    """

    mask: Tensor | None = None
    causal: bool = False
    packing: Packing | None = None
    head_mask: Tensor | None = None
    cross_states: Tensor | None = None
    cross_mask: Tensor | None = None
    cache: KeyValueCache | None = None
    wants_attentions: bool = False
    attentions: list[Tensor] = field(default_factory=list)
    cross_attentions: list[Tensor] = field(default_factory=list)


class MultiHeadAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v per head (Vaswani et al. 2017, arXiv:1706.03762).

    Through torch's fused kernel; in plain operations where the weights themselves are wanted, masked by head, or shifted
    by relative positions (Shaw et al. 2018, arXiv:1803.02155; Huang et al. 2020, arXiv:2009.13658).
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

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[batch, length, hidden] (or [tokens, hidden], packed) -> the same."""
        if context.packing is not None and not self.is_cross:
            return self._packed(x, context.packing.lengths)
        query = self._heads(self.query(x))
        key, value = self._keys_and_values(x, context)
        mask = context.cross_mask if self.is_cross else context.mask
        head_mask = None if context.head_mask is None else context.head_mask[self.layer]
        if context.wants_attentions or head_mask is not None or self.relative != "absolute":
            mixed, weights = self._plain(query, key, value, mask, head_mask)
            if context.wants_attentions:
                (context.cross_attentions if self.is_cross else context.attentions).append(weights)
        else:
            causal = context.causal and not self.is_cross
            mixed = functional.scaled_dot_product_attention(
                query, key, value, None if causal else mask, dropout_p=self._rate, is_causal=causal
            )
        return mixed.transpose(1, 2).flatten(2)

    @property
    def _rate(self) -> float:
        return self.dropout.p if self.training else 0.0

    def _heads(self, x: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, heads, length, head size]."""
        return x.view(*x.shape[:-1], self.num_heads, self.head_size).transpose(1, 2)

    def _keys_and_values(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Those of the sequence, the cached ones before them; or those of the encoder's states, computed once."""
        cache = context.cache
        if not self.is_cross:
            key, value = self._heads(self.key(x)), self._heads(self.value(x))
            return (key, value) if cache is None else cache.update(self.layer, key, value)
        if cache is not None and self.layer in cache.cross:
            return cache.cross[self.layer]
        assert context.cross_states is not None
        pair = self._heads(self.key(context.cross_states)), self._heads(self.value(context.cross_states))
        if cache is not None:
            cache.cross[self.layer] = pair
        return pair

    def _packed(self, x: Tensor, lengths: list[int]) -> Tensor:
        """Attention within each sequence of a packed batch [tokens, hidden]."""
        split = (len(x), self.num_heads, self.head_size)
        parts = (torch.split(linear(x).view(split), lengths) for linear in (self.query, self.key, self.value))
        mixed = [self._one(*sequence) for sequence in zip(*parts, strict=True)]
        return torch.cat(mixed).flatten(1)

    def _one(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """One sequence: each [length, heads, head size] -> the same."""
        mixed = functional.scaled_dot_product_attention(
            query.transpose(0, 1)[None], key.transpose(0, 1)[None], value.transpose(0, 1)[None], dropout_p=self._rate
        )
        return mixed[0].transpose(0, 1)

    def _plain(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, head_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The same in plain operations; also returns the weights [batch, heads, queries, keys]."""
        scores = query @ key.transpose(-1, -2)
        for term in self._relative_terms(query, key):
            scores = scores + term
        scores = scores / math.sqrt(self.head_size)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights: Tensor = self.dropout(scores.softmax(dim=-1))
        if head_mask is not None:
            weights = weights * head_mask
        return weights @ value, weights

    def _relative_terms(self, query: Tensor, key: Tensor) -> Iterator[Tensor]:
        """What relative positions add to the scores: of the query, and for `relative_key_query` of the key too."""
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
    """A linear map and dropout; the residual is added where the block can be read."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        projected: Tensor = self.dropout(self.dense(x))
        return projected


class Attention(nn.Module):
    """x + project(attend(norm(x)))."""

    def __init__(self, config: RobertaPreLayerNormConfig, layer: int, *, is_cross: bool = False) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self = MultiHeadAttention(config, layer, is_cross=is_cross)
        self.output = Projection(config.hidden_size, config.hidden_size, config.hidden_dropout_prob)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[..., hidden] -> the same."""
        attended: Tensor = x + self.output(self.self(self.LayerNorm(x), context))
        return attended
