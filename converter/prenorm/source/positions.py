"""Where a model knows a token's place from: a learned table, fairseq's sinusoids, or nothing; and which id is the pad.

fairseq numbers the tokens of a row from pad + 1 on, so that a table for N positions has N + pad + 1 rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prenorm.errors import CONTRADICTORY, UnreadableCheckpoint
from prenorm.rules.rows import Moved
from prenorm.source.arguments import Arguments
from prenorm.source.sizes import POSITIONS, is_zero_row, matrix
from prenorm.words import Worded

if TYPE_CHECKING:
    import torch

USUAL_PAD_ID = 1  # fairseq's Dictionary: <s> 0, <pad> 1, </s> 2, <unk> 3
_MOST_POSITIONS = 1 << 20
_FAIRSEQ_DEFAULT = 512  # of --max-positions


class PositionKind(Worded):
    """Where the model's table of positions comes from."""

    LEARNED = "learned"  # a tensor of the checkpoint
    SINUSOIDAL = "sinusoidal"  # computed by fairseq's formula
    NONE = "none"  # nothing is added for a position


@dataclass(frozen=True)
class PositionTable:
    """`kind` says where the table comes from; it has `rows` rows, those up to the pad's included."""

    kind: PositionKind
    rows: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.rows} rows"


def find_positions(
    tensors: Mapping[str, Moved], arguments: Arguments, hidden_size: int, vocab_size: int
) -> tuple[PositionTable, int]:
    """Find the position table and the pad's id.

    Args:
        tensors: the source tensors by canonical name.
        arguments: what the checkpoint records.
        hidden_size: the model's width.
        vocab_size: rows of the word embeddings.

    Returns:
        The table, and the id of the pad.

    Raises:
        UnreadableCheckpoint: if arguments and tensors contradict each other, or the table is missing.
    """
    kind = PositionKind.SINUSOIDAL if arguments.flag("encoder_learned_pos") is False else PositionKind.LEARNED
    if arguments.flag("no_token_positional_embeddings"):
        kind = PositionKind.NONE
    stated = _stated(arguments)
    if kind is PositionKind.LEARNED:
        rows, _ = matrix(tensors, POSITIONS)
        return PositionTable(kind, rows), _pad_id(tensors, stated, rows, vocab_size)
    if POSITIONS in tensors:
        argument = "no_token_positional_embeddings=True" if kind is PositionKind.NONE else "encoder_learned_pos=False"
        raise UnreadableCheckpoint(
            f"the arguments say {argument}, but there is a learned table of positions, '{tensors[POSITIONS].source}'",
            advice=CONTRADICTORY,
        )
    count = stated or arguments.max_positions or _FAIRSEQ_DEFAULT
    if count > _MOST_POSITIONS or (kind is PositionKind.SINUSOIDAL and (hidden_size % 2 or hidden_size < 4)):
        raise UnreadableCheckpoint(f"the arguments ask for a table of {count} positions, {hidden_size} wide")
    return PositionTable(kind, count + USUAL_PAD_ID + 1), USUAL_PAD_ID


def _stated(arguments: Arguments) -> int | None:
    """Return `--max-positions`, where it is recorded."""
    for name in ("max_positions", "max_source_positions"):
        value = arguments.find(name)
        if type(value) is int and value > 0:
            return value
    return None


def _pad_id(tensors: Mapping[str, Moved], stated: int | None, rows: int, vocab_size: int) -> int:
    """Compute the pad's id: how many rows the table has beyond the positions.

    Its own row there is zero, and stays so in training. (Its row in the table of words is not: a tied LM head trains
    it.)

    Args:
        tensors: the source tensors by canonical name.
        stated: `--max-positions`, if it is recorded.
        rows: rows of the table.
        vocab_size: rows of the word embeddings.

    Returns:
        The id.

    Raises:
        UnreadableCheckpoint: if the table fits no id.
    """
    if stated is None or rows == stated + USUAL_PAD_ID + 1:
        return USUAL_PAD_ID
    pad_id = rows - stated - 1
    could_be_pad = 0 <= pad_id < vocab_size
    if could_be_pad and is_zero_row(tensors[POSITIONS], pad_id):
        return pad_id
    problem = f"with <pad> as id {USUAL_PAD_ID} it would have {stated + USUAL_PAD_ID + 1} rows"
    if could_be_pad:
        problem += f"; and it would be id {pad_id} otherwise, but the pad's row is zero, and row {pad_id} is not"
    raise UnreadableCheckpoint(
        f"the arguments say max_positions={stated}, but '{tensors[POSITIONS].source}' has {rows} rows",
        problems=[problem],
        advice="Arguments and tensors contradict each other:",
    )


def sinusoids(table: PositionTable, hidden_size: int, pad_id: int) -> torch.Tensor:
    """Compute fairseq's sinusoidal table in float32, as fairseq does.

    Row p holds sin(p w_i) in its first half and cos(p w_i) in its second, with w_i = 10000^(-i / (half - 1)); the pad's
    row is zero (fairseq, SinusoidalPositionalEmbedding.get_embedding; Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        table: how many rows it has.
        hidden_size: the model's width.
        pad_id: the id of the pad.

    Returns:
        The table, [rows, hidden].
    """
    import torch

    half = hidden_size // 2
    step = math.log(10000) / (half - 1)
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -step)
    angles = torch.arange(table.rows, dtype=torch.float32)[:, None] * frequencies[None]
    values = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    values[pad_id] = 0
    return values
