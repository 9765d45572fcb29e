"""Rows of a plan: the target tensors, what each is made of, and the source tensors that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from prenorm.checkpoint.tensors import SourceTensor


@dataclass(frozen=True)
class Moved:
    """A tensor on its way: the data, the source key it comes from, and what was done to it so far.

    `source` is None where it was computed from no tensor of the checkpoint; `also_from` are further keys it is made of.
    """

    tensor: SourceTensor
    source: str | None
    operation: str = "copy"
    reason: str = ""
    also_from: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """All source keys it is made of."""
        return (*(() if self.source is None else (self.source,)), *self.also_from)


@dataclass(frozen=True)
class Dropped:
    """A source tensor that has no place in the target."""

    source: str
    tensor: SourceTensor
    reason: str


@dataclass(frozen=True)
class Row:
    """One target tensor of the plan.

    Its content is `moved` (or, without it, `fill` throughout), followed by `extra_rows` more rows: copies of row
    `extra_from` of `moved`, or `extra_fill` where that is None.
    """

    target: str
    shape: tuple[int, ...]
    dtype: str
    operation: str
    reason: str = ""
    moved: Moved | None = None
    fill: float = 0.0
    extra_rows: int = 0
    extra_from: int | None = None
    extra_fill: float = 0.0

    @property
    def source(self) -> str | None:
        """The source key, if the row has one."""
        return None if self.moved is None else self.moved.source

    @property
    def sources(self) -> tuple[str, ...]:
        """All source keys that the row is made of."""
        return () if self.moved is None else self.moved.sources


def as_moved(tensors: Mapping[str, SourceTensor]) -> dict[str, Moved]:
    """The source tensors before anything was done to them."""
    return {key: Moved(tensor, key) for key, tensor in tensors.items()}


def extend(row: Row, rows: int, *, copy_row: int | None = None, fill: float = 0.0) -> Row:
    """`row` with `rows` more rows: copies of row `copy_row`, or filled with `fill`."""
    what = f"copies of row {copy_row}" if copy_row is not None else f"rows of {fill:g}"
    return replace(
        row,
        shape=(row.shape[0] + rows, *row.shape[1:]),
        operation=f"{row.operation} + {rows} {what}",
        extra_rows=rows,
        extra_from=copy_row,
        extra_fill=fill,
    )
