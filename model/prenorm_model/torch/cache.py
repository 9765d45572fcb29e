"""The key/value cache of a decoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

_GROWTH = 64  # tokens by which a layer's buffer grows, so that generating does not copy it for every token


@dataclass
class _Layer:
    keys: Tensor
    values: Tensor
    length: int


@dataclass
class KeyValueCache:
    """Keys and values of the tokens seen so far, by layer, each [batch, heads, tokens, head size].

    `real_tokens` [batch] counts the tokens that are no pads, for the positions of those to come. The cross-attention's
    keys and values are computed once and kept as they are.
    """

    layers: list[_Layer] = field(default_factory=list)
    cross: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    real_tokens: Tensor | None = None

    def get_seq_length(self) -> int:
        """How many tokens are in the cache."""
        return self.layers[0].length if self.layers else 0

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds a layer's new keys and values; returns all of them."""
        if layer == len(self.layers):
            self.layers.append(_Layer(keys, values, keys.shape[2]))
            return keys, values
        held = self.layers[layer]
        start, end = held.length, held.length + keys.shape[2]
        held.length = end
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            # Writing into a buffer would break the graph of what was computed from it.
            held.keys = torch.cat([held.keys[:, :, :start], keys], dim=2)
            held.values = torch.cat([held.values[:, :, :start], values], dim=2)
            return held.keys, held.values
        if end > held.keys.shape[2]:
            held.keys, held.values = _grow(held.keys, start, end), _grow(held.values, start, end)
        held.keys[:, :, start:end] = keys
        held.values[:, :, start:end] = values
        return held.keys[:, :, :end], held.values[:, :, :end]


def _grow(held: Tensor, used: int, needed: int) -> Tensor:
    batch, heads, _, size = held.shape
    buffer = held.new_empty(batch, heads, needed + _GROWTH, size)
    buffer[:, :, :used] = held[:, :, :used]
    return buffer
