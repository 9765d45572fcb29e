"""The key/value cache of a decoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

_GROWTH = 64  # tokens by which a layer's buffer grows, so that generating does not copy it for every token


@dataclass
class _LayerCache:
    """The keys and values of one layer, [batch, heads, room, head size], of which the first `length` tokens are filled."""

    keys: Tensor
    values: Tensor
    length: int


@dataclass
class KeyValueCache:
    """Keys and values of the tokens seen so far.

    Attributes:
        layers: those of each layer, [batch, heads, tokens, head size].
        cross: those of the encoder's states by layer, each [batch, heads, encoder length, head size]; computed once.
        real_tokens: [batch], the number of tokens that are no pads, for the positions of those to come.
    """

    layers: list[_LayerCache] = field(default_factory=list)
    cross: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    real_tokens: Tensor | None = None

    def get_seq_length(self) -> int:
        """Return the number of tokens in the cache."""
        return self.layers[0].length if self.layers else 0

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add a layer's new keys and values.

        Args:
            layer: the layer's number.
            keys: [batch, heads, new tokens, head size].
            values: the same shape.

        Returns:
            All keys and all values of the layer, each [batch, heads, tokens, head size].
        """
        if layer == len(self.layers):
            self.layers.append(_LayerCache(keys, values, keys.shape[2]))
            return keys, values
        cached = self.layers[layer]
        start, end = cached.length, cached.length + keys.shape[2]
        cached.length = end
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            # Writing into a buffer would break the graph of what was computed from it.
            cached.keys = torch.cat([cached.keys[:, :, :start], keys], dim=2)
            cached.values = torch.cat([cached.values[:, :, :start], values], dim=2)
            return cached.keys, cached.values
        if end > cached.keys.shape[2]:
            cached.keys, cached.values = _grow(cached.keys, start, end), _grow(cached.values, start, end)
        cached.keys[:, :, start:end] = keys
        cached.values[:, :, start:end] = values
        return cached.keys[:, :, :end], cached.values[:, :, :end]


def _grow(buffer: Tensor, used: int, needed: int) -> Tensor:
    """Return a buffer with room for more than `needed` tokens, whose first `used` are those of the old one."""
    batch, heads, _, size = buffer.shape
    larger = buffer.new_empty(batch, heads, needed + _GROWTH, size)
    larger[:, :, :used] = buffer[:, :, :used]
    return larger
