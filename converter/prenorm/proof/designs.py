"""Designed values: what is planted in a folder's layers, so that everything but their linear maps meets its hardest inputs.

Norms get rows of small variance, where epsilon decides, rows of a large mean, and rows with an outlier. Attention gets
queries of which each meets one key with half of its weight, and all others by chance, so that no pair of a query and a key is
too light to be missed; in short rows one head has scores beyond what exp can take. Activations get a dense grid, and values
far outside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_SEED = 20_211_105
_MAPS = ("q", "k", "v", "attention", "layer")
_SMALL, _MEAN, _OUTLIER = 1e-3, 30.0, 1e3
_GRID = 9.0
_EXTREME = 1e3  # times a score; exp is infinite from 710 on


@dataclass(frozen=True)
class Designs:
    """What is planted for one batch, in float64.

    Attributes:
        batch: rows of the batch.
        length: tokens of a row, pads included.
        width: values of a token.
        inner: values of a token within the feed-forward block.
        heads: attention heads.
        extreme: whether one head of each layer has extreme scores.
    """

    batch: int
    length: int
    width: int
    inner: int
    heads: int
    extreme: bool

    @cached_property
    def _normal(self) -> Mapping[str, Tensor]:
        """Normal numbers, [batch, length, width], for each map and sum."""
        generator = torch.Generator().manual_seed(_SEED)
        shape = (self.batch, self.length, self.width)
        return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name in _MAPS}

    @cached_property
    def _grid(self) -> Tensor:
        """Values for activations, [batch, length, inner]: most on an even grid, the others in decades from tiny to large."""
        count = self.batch * self.length * self.inner
        far = max(2, count // 16)
        even = torch.linspace(-_GRID, _GRID, max(count - far, 1), dtype=torch.float64)
        decades = torch.logspace(-30, 4, far, dtype=torch.float64)
        decades[::2].neg_()
        return torch.cat([even, decades])[:count].view(self.batch, self.length, self.inner)

    def embeddings(self) -> dict[str, Tensor]:
        """Return what has to come out of the embeddings.

        Returns:
            `out`, [batch, length, width].
        """
        return {"out": self._rows("layer", 0)}

    def layer(self, number: int, x: Tensor) -> dict[str, Tensor]:
        """Return what has to come out of a layer's linear maps.

        Args:
            number: the layer's, from 0.
            x: what goes into the layer, [batch, length, width].

        Returns:
            The outputs of the six maps by name, each [batch, length, its width].
        """
        query, key = self._queries(number), self._normal["k"].roll(number, dims=1)
        after_attention = self._rows("attention", number)
        out_proj = after_attention - x
        return {
            "q_proj": query,
            "k_proj": key,
            "v_proj": self._normal["v"].roll(number, dims=1),
            "out_proj": out_proj,
            "fc1": self._grid + number * (_GRID / (8 * max(self._grid.numel(), 1))),
            "fc2": self._rows("layer", number + 1) - (x + out_proj),
        }

    def _rows(self, name: str, number: int) -> Tensor:
        """Return rows for a norm: every fourth natural, the next of small variance, of a large mean, with an outlier."""
        rows = self._normal[name].roll(number, dims=1).clone()
        rows[:, 1::4] *= _SMALL
        rows[:, 2::4] += _MEAN
        rows[:, 3::4, number % self.width] *= _OUTLIER
        return rows

    def _queries(self, number: int) -> Tensor:
        """Return queries of which each has half of its weight at one key, another in every head and layer."""
        split = (self.batch, self.length, self.heads, self.width // self.heads)
        query, key = (self._normal[name].roll(number, dims=1).view(split) for name in ("q", "k"))
        heads = torch.arange(self.heads)
        met = (torch.arange(self.length)[:, None] + 1 + number * self.heads + heads) % self.length
        key = key[:, met, heads]  # [batch, length, heads, size]
        needed = (math.log(self.length) + 1.0) * math.sqrt(split[-1])
        query = query + key * (needed / ((key * key).sum(dim=-1, keepdim=True) + 0.1))
        if self.extreme:
            query[:, :, number % self.heads] *= _EXTREME
        return query.flatten(2)
