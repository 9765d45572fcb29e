"""The tensor audit: every source and every target tensor accounted for, every moved one compared bit by bit.

Numbers cannot see everything: an embedding row that the probe does not use never shows in a logit. Here the written files
are read back through the safetensors library and held against the checkpoint, by code that shares nothing with the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from prenorm.checkpoint.sameness import is_same_place
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.folder.published import read_stored, stored_names
from prenorm.reports.model import Audit, AuditRow
from prenorm.rules.rows import Dropped, Row


def audit(
    folder: Path,
    rows: Iterable[Row],
    dropped: Iterable[Dropped],
    tensors: Mapping[str, SourceTensor],
    used_by_reference: Iterable[str],
    *,
    tied: bool,
    allowed: Iterable[str] = (),
) -> Audit:
    """Account for a folder's tensors.

    Args:
        folder: its safetensors files.
        rows: the target tensors that were planned.
        dropped: the source tensors that are left out.
        tensors: the source tensors under the checkpoint's own names.
        used_by_reference: the source tensors that the reference computed with; none of them may be lost.
        tied: whether the LM head's matrix was left out for being the embedding, which is then checked.
        allowed: names that may be in the files without a source.

    Returns:
        A row for every tensor, and what is wrong with the whole.
    """
    fates: list[AuditRow] = []
    planned = {row.target: row for row in rows}
    seen: set[str] = set()
    for name, path in stored_names(folder):
        seen.add(name)
        if name in planned:
            row = planned[name]
            equal = _is_as_planned(row, read_stored(path, name))
            fates.append(AuditRow(row.source, name, str(row.operation), row.reason, equal))
    moved = {source for row in planned.values() for source in row.sources}
    table = next((row.moved.tensor for row in planned.values() if row.moved and row.target.endswith(_TABLE)), None)
    table = table if tied else None
    lost = list(dropped)
    fates += [AuditRow(item.source, None, "drop", item.reason, _equal_to_table(item, table)) for item in lost]
    same_as_table = {item.source for item in lost if _equal_to_table(item, table)}
    missing, surplus = planned.keys() - seen, seen - planned.keys() - set(allowed)
    problems = [
        *(f"target tensor '{name}' was planned and is not in the files" for name in missing),
        *(f"target tensor '{name}' is in the files and was not planned" for name in surplus),
        *(f"source tensor '{key}' is neither moved nor dropped" for key in _unaccounted(tensors, moved, lost)),
        *(
            f"source tensor '{key}' matters to what the model computes, and was not moved"
            for key in sorted(set(used_by_reference) - moved - same_as_table)
        ),
    ]
    fates.sort(key=lambda row: (row.target or "~", row.source or ""))
    return Audit(tuple(fates), tuple(sorted(problems)), len(surplus), len(missing))


_TABLE = "word_embeddings.weight"


def _unaccounted(tensors: Mapping[str, SourceTensor], moved: set[str], dropped: list[Dropped]) -> list[str]:
    """Return the source tensors that are neither moved nor dropped."""
    return sorted(tensors.keys() - moved - {item.source for item in dropped})


def _equal_to_table(item: Dropped, table: SourceTensor | None) -> bool | None:
    """Return whether a tied LM-head matrix is the word embedding, bit by bit; None for any other tensor."""
    if table is None or not item.source.endswith("lm_head.weight"):
        return None
    if is_same_place(item.tensor, table):
        return True
    wanted = table.read()  # widened where the checkpoint has tensors of several types
    return _same_bits(item.tensor.read().to(wanted.dtype), wanted)


def _is_as_planned(row: Row, actual: Tensor) -> bool:
    """Return whether the written tensor is what the plan says: the source's bits, then the extra rows'."""
    if tuple(actual.shape) != row.shape or str(actual.dtype) != f"torch.{row.dtype}":
        return False
    pieces = planned_pieces(row)
    written = torch.split(actual, [len(piece) for piece in pieces]) if len(pieces) > 1 else [actual]
    equal = all(map(_same_bits, written, pieces))
    if row.moved is not None:
        row.moved.tensor.release()
    return equal


def planned_pieces(row: Row) -> list[Tensor]:
    """Return what the plan makes of a row, in the type of its source.

    Args:
        row: a row of the plan.

    Returns:
        The source's values or a constant, and the extra rows behind them where there are some.
    """
    if row.moved is None:
        return [torch.full(row.shape, row.fill, dtype=getattr(torch, row.dtype))]
    values = row.moved.tensor.read()
    if not row.extra_rows:
        return [values]
    shape = (row.extra_rows, *values.shape[1:])
    constant = row.extra_from is None
    return [values, values.new_full(shape, row.extra_fill) if constant else values[row.extra_from].expand(shape)]


_INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


def _same_bits(left: Tensor, right: Tensor) -> bool:
    """Return whether all bits are equal: -0.0 differs from 0.0, and a NaN equals itself."""
    return left.shape == right.shape and left.dtype == right.dtype and torch.equal(bits_of(left), bits_of(right))


def bits_of(values: Tensor) -> Tensor:
    """Return a tensor's bits as integers.

    Args:
        values: of any type.

    Returns:
        Integers of the same size, in the same shape.
    """
    return values.contiguous().view(_INTEGERS[values.element_size()])
