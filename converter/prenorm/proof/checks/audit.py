"""The tensor audit: every source and every target tensor accounted for, every moved one compared bit by bit.

Numbers cannot see everything: an embedding row that the probe does not use never shows in a logit. Here the written files
are read back through the safetensors library and held against the checkpoint, by code that shares nothing with the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor, is_same_place
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
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        for name in names:
            seen.add(name)
            if name in planned:
                # Opened per tensor: the pages of the file leave memory with it.
                with safe_open(path, framework="pt") as file:
                    equal = _is_as_planned(planned[name], file.get_tensor(name))
                row = planned[name]
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
    if row.moved is None:
        return _same_bits(actual, torch.full(row.shape, row.fill, dtype=actual.dtype))
    expected = row.moved.tensor.read()
    split = len(expected) if row.extra_rows else actual.shape[0] if actual.dim() else 0
    equal = _same_bits(actual[:split] if row.extra_rows else actual, expected)
    if row.extra_rows:
        tail = actual[split:]
        wanted = (
            torch.full_like(tail, row.extra_fill)
            if row.extra_from is None
            else expected[row.extra_from].expand(tail.shape)
        )
        equal = equal and len(tail) == row.extra_rows and _same_bits(tail, wanted)
    row.moved.tensor.release()
    return equal


_INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


def _same_bits(left: Tensor, right: Tensor) -> bool:
    """Return whether all bits are equal: -0.0 differs from 0.0, and a NaN equals itself."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    integer = _INTEGERS[left.element_size()]
    return torch.equal(left.contiguous().view(integer), right.contiguous().view(integer))
