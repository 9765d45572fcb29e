"""Padding-free execution: the real tokens of a batch in one row, so that pads cost nothing.

All of a layer but attention works token by token, so it can work on [tokens, hidden] as well; attention then runs sequence
by sequence. Worth it where a good part of the batch is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from prenorm_model.torch.facts import are_values_known

# Below this many pads, and this share of them, gathering and looping cost more than the pads.
MIN_PADS = 256
_MIN_SHARE = 0.1


@dataclass(frozen=True)
class Packing:
    """The place of the real tokens in a padded batch.

    Attributes:
        batch: number of sequences.
        length: number of tokens of a row of the batch, pads included.
        index: [tokens], where the real tokens are in the flattened batch, row by row.
        lengths: the number of real tokens of each sequence.
    """

    batch: int
    length: int
    index: Tensor
    lengths: list[int]

    def pack(self, x: Tensor) -> Tensor:
        """Take the real tokens out of a padded batch.

        Args:
            x: [batch, length, ...].

        Returns:
            [tokens, ...].
        """
        return x.flatten(0, 1)[self.index]

    def unpack(self, x: Tensor) -> Tensor:
        """Put the real tokens back into a padded batch.

        Args:
            x: [tokens, ...].

        Returns:
            [batch, length, ...], zero where the pads are.
        """
        padded = x.new_zeros(self.batch * self.length, *x.shape[1:])
        return padded.index_copy(0, self.index, x).view(self.batch, self.length, *x.shape[1:])


def plan_packing(mask: Tensor | None, min_pads: int = MIN_PADS) -> Packing | None:
    """Return the packing of a batch.

    Args:
        mask: [batch, length], zero at pads. Of a mask of three dimensions, of none, and inside a trace nothing is known.
        min_pads: below this many pads there is no gain.

    Returns:
        The packing; None where it would gain nothing.
    """
    if not are_values_known() or mask is None or mask.dim() != 2 or mask.numel() < min_pads:
        return None
    real = mask.bool()
    lengths = real.sum(dim=1).tolist()
    pads = mask.numel() - sum(lengths)
    if pads < min_pads or pads < _MIN_SHARE * mask.numel() or 0 in lengths:
        return None
    return Packing(mask.shape[0], mask.shape[1], real.flatten().nonzero().squeeze(1), lengths)
