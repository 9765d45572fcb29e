"""Faults planted in a conversion: in the mapping, the writer, the config, the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import prenorm.folder.files as folder_module
from prenorm.mapping import understood
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.targets import Target
from prenorm.rules.rows import Row, constant

Plant = Callable[[pytest.MonkeyPatch], None]


def edit_plan(edit: Callable[[Row], Row]) -> Plant:
    """The fault is in the mapping: rows of the plan come out wrong."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        real = understood.plan_conversion

        def wrong(*args: object, **options: object) -> ConversionPlan:
            plan = real(*args, **options)  # type: ignore[arg-type]
            return replace(plan, rows=tuple(sorted(map(edit, plan.rows), key=lambda row: row.target)))

        monkeypatch.setattr(understood, "plan_conversion", wrong)

    return plant


def rename(pairs: dict[str, str]) -> Plant:
    """Target names that contain a key get its value instead, and the other way round."""

    def swap(row: Row) -> Row:
        for left, right in pairs.items():
            if left in row.target:
                return replace(row, target=row.target.replace(left, right))
            if right in row.target:
                return replace(row, target=row.target.replace(right, left))
        return row

    return edit_plan(swap)


def lose(name: str) -> Plant:
    """The tensor never reaches the target, which is filled with zeros instead."""
    return edit_plan(
        lambda row: replace(row, moved=None, fill=0.0, operation=constant(0.0)) if row.target == name else row
    )


def rewrite(pattern: str, change: Callable[[Tensor], Tensor]) -> Plant:
    """The fault is in the writer: the bytes of matching tensors are changed on their way to the file."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        real = folder_module._row_pieces

        def wrong(row: Row, inspector: object) -> Iterator[bytes | memoryview]:
            pieces = real(row, inspector)  # type: ignore[arg-type]
            if not re.fullmatch(pattern, row.target):
                yield from pieces
                return
            raw = bytearray(b"".join(map(bytes, pieces)))
            tensor = torch.frombuffer(raw, dtype=getattr(torch, row.dtype)).reshape(row.shape).clone()
            yield change(tensor).contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

        monkeypatch.setattr(folder_module, "_row_pieces", wrong)

    return plant


def configure(**values: object) -> Plant:
    """The fault is in config.json."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        real = Target.config
        monkeypatch.setattr(Target, "config", lambda *args: {**real(*args), **values})

    return plant


def patch(owner: object, name: str, value: object) -> Plant:
    """The fault is in the model."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)
