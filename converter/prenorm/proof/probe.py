"""The probe: the token batches on which reference and folder are compared."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm.tokenization.dictionary import BOS, EOS, PAD

_SEED = 20_211_104
_SHORT_LENGTHS = (64, 40, 17, 5, 2)  # padded to the longest; 2 is the shortest legal row, `<s> </s>`
_FEW_LENGTHS = (17, 5, 2)  # pads that are too few for a runtime that computes without them where they are many


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
    for wanted in (_SHORT_LENGTHS, _FEW_LENGTHS):
        lengths = sorted({min(length, longest) for length in wanted}, reverse=True)
        short = torch.full((len(lengths), lengths[0]), pad)
        for row, length in zip(short, lengths, strict=True):
            row[:length] = _row(length, vocab_size, pad, generator)
        batches.append(short)
    return batches


def _row(length: int, vocab_size: int, pad: int, generator: torch.Generator) -> Tensor:
    ids = torch.randint(0, vocab_size - 1, (length,), generator=generator)
    ids[ids >= pad] += 1  # every id but the pad
    ids[1::7] = vocab_size - 1 - (pad == vocab_size - 1)
    ids[0] = BOS if pad != BOS else BOS + 1
    if length > 1:
        ids[-1] = EOS if pad != EOS else EOS + 1
    return ids
