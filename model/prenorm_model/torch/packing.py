"""Padding-free execution: the real tokens of a batch in one row, so that pads cost nothing.

All of a layer but attention works token by token, so it can work on [tokens, hidden] as well; attention then runs sequence
by sequence. Worth it where a good part of the batch is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Below this many pads, and this share of them, gathering and looping cost more than the pads.
_MIN_PADS = 256
_MIN_SHARE = 0.1


@dataclass(frozen=True)
class Packing:
    """Where the real tokens of a padded batch are: `index` [tokens] into the flattened batch, row by row; `lengths`."""

    batch: int
    length: int
    index: Tensor
    lengths: list[int]

    def pack(self, x: Tensor) -> Tensor:
        """[batch, length, ...] -> [tokens, ...]."""
        return x.flatten(0, 1)[self.index]

    def unpack(self, x: Tensor) -> Tensor:
        """[tokens, ...] -> [batch, length, ...], zero where the pads are."""
        padded = x.new_zeros(self.batch * self.length, *x.shape[1:])
        return padded.index_copy(0, self.index, x).view(self.batch, self.length, *x.shape[1:])


def pads_come_first(mask: Tensor | None) -> bool:
    """Whether some row of a 2-D mask [batch, length] starts with a pad, so that its first token's output means nothing."""
    return mask is not None and mask.dim() == 2 and not torch.compiler.is_compiling() and not bool(mask[:, 0].all())


def plan_packing(mask: Tensor | None) -> Packing | None:
    """The packing of a batch with this 2-D mask [batch, length], or None where it would gain nothing."""
    if mask is None or mask.dim() != 2 or mask.numel() < _MIN_PADS or torch.compiler.is_compiling():
        return None
    real = mask.bool()
    lengths = real.sum(dim=1).tolist()
    pads = mask.numel() - sum(lengths)
    if pads < _MIN_PADS or pads < _MIN_SHARE * mask.numel() or 0 in lengths:
        return None
    return Packing(mask.shape[0], mask.shape[1], real.flatten().nonzero().squeeze(1), lengths)
