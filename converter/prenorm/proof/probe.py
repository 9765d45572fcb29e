"""The probe: the token batches on which reference and folder are compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prenorm.tokenization.dictionary import BOS, EOS, PAD

_SEED = 20_211_104
_SHORT_LENGTHS = (64, 40, 17, 5, 2)  # padded to the longest; 2 is the shortest legal row, `<s> </s>`
_FEW_LENGTHS = (17, 5, 2)  # pads that are too few for a runtime that computes without them where they are many
_CHAINED_LENGTHS = (24, 9, 5, 2), (6, 2)  # with many pads and with few, in as few tokens as that takes
_FEW_PADS = 4


def build_probe(vocab_size: int, positions: int, pad: int = PAD) -> list[Tensor]:
    """Return three batches of token ids: one row that covers every position, and short rows with many pads and with few.

    Ids are drawn from the whole vocabulary, pads left out; every row starts with `<s>` and ends with `</s>` (where they
    are at their usual ids), and carries the last id, which is `<mask>`, in places. The same sizes give the same probe.

    Args:
        vocab_size: rows of the embedding.
        positions: rows of the position table (positions + pad + 1, so 514 for 512).
        pad: the pad's id.

    Returns:
        Tensors [rows, length], int64, padded with `pad`.
    """
    generator = torch.Generator().manual_seed(_SEED)
    longest = positions - pad - 1
    batches = [_row(longest, vocab_size, pad, generator)[None]]
    return batches + [_padded(wanted, longest, vocab_size, pad, generator) for wanted in (_SHORT_LENGTHS, _FEW_LENGTHS)]


def build_short_probe(vocab_size: int, positions: int, pad: int = PAD) -> list[Tensor]:
    """Return two batches of short rows, one with many pads and one with few: 48 tokens that are no pads.

    Args:
        vocab_size: rows of the embedding.
        positions: rows of the position table.
        pad: the pad's id.

    Returns:
        Tensors [rows, length], int64, padded with `pad`.
    """
    generator = torch.Generator().manual_seed(_SEED)
    longest = positions - pad - 1
    return [_padded(wanted, longest, vocab_size, pad, generator) for wanted in _CHAINED_LENGTHS]


def with_few_pads(full: Tensor, pad: int) -> Tensor:
    """Return a full row whose last tokens are pads.

    Args:
        full: token ids [1, length].
        pad: the pad's id.

    Returns:
        Token ids of the same shape, of which at least one is no pad.
    """
    padded = full.clone()
    padded[:, max(1, full.shape[1] - _FEW_PADS) :] = pad
    return padded


def _padded(wanted: Sequence[int], longest: int, vocab_size: int, pad: int, generator: torch.Generator) -> Tensor:
    """Return rows of these lengths, but no longer than the longest, padded to one."""
    lengths = sorted({min(length, longest) for length in wanted}, reverse=True)
    short = torch.full((len(lengths), lengths[0]), pad)
    for row, length in zip(short, lengths, strict=True):
        row[:length] = _row(length, vocab_size, pad, generator)
    return short


def _row(length: int, vocab_size: int, pad: int, generator: torch.Generator) -> Tensor:
    ids = torch.randint(0, vocab_size - 1, (length,), generator=generator)
    ids[ids >= pad] += 1  # every id but the pad
    ids[1::7] = vocab_size - 1 - (pad == vocab_size - 1)
    ids[0] = BOS if pad != BOS else BOS + 1
    if length > 1:
        ids[-1] = EOS if pad != EOS else EOS + 1
    return ids
