"""Rows of a plan: the target tensors, what each is made of, and the source tensors that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from prenorm.checkpoint.tensors import SourceTensor


class OperationKind(Enum):
    """What was done to a tensor's numbers on its way to the target."""

    COPY = "copy"  # nothing: the bytes are the source's
    ROWS = "rows"  # some of the rows of a source tensor, unchanged
    WIDENED = "widened"  # the source's values in a wider type, whole or some rows
    CONSTANT = "constant"  # filled with one number, from no source tensor
    COMPUTED = "computed"  # other numbers than any source tensor holds


@dataclass(frozen=True)
class Operation:
    """What was done to a tensor on its way, for decisions (`kind`) and for people (`words`)."""

    kind: OperationKind
    words: str

    def __str__(self) -> str:
        return self.words

    def followed_by(self, words: str) -> Operation:
        """Add a step that keeps the kind, such as more rows behind the last one.

        Args:
            words: the step, for people.

        Returns:
            The operation with the step behind it.
        """
        return replace(self, words=f"{self.words}{words}")

    def widened(self, dtype: str) -> Operation:
        """Add a widening of the type, which changes no value.

        Args:
            dtype: torch's name of the narrower type.

        Returns:
            The operation with the widening behind it.
        """
        words = f"widened from {dtype}" if self.kind is OperationKind.COPY else f"{self.words}, widened from {dtype}"
        keeps_values = self.kind in (OperationKind.COPY, OperationKind.ROWS)
        return Operation(OperationKind.WIDENED if keeps_values else self.kind, words)


COPY = Operation(OperationKind.COPY, "copy")


def constant(value: float) -> Operation:
    """Describe a tensor that is filled with one number.

    Args:
        value: the number.

    Returns:
        The operation.
    """
    return Operation(OperationKind.CONSTANT, f"constant {value:g}")


@dataclass(frozen=True)
class Moved:
    """A tensor on its way: the data, the source key it comes from, and what was done to it so far.

    `source` is None where it was computed from no tensor of the checkpoint; `also_from` are further keys it is made of.
    """

    tensor: SourceTensor
    source: str | None
    operation: Operation = COPY
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
    operation: Operation
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
    """Wrap tensors to which nothing was done yet.

    Args:
        tensors: the tensors by name.

    Returns:
        The same by the same names, each its own source.
    """
    return {key: Moved(tensor, key) for key, tensor in tensors.items()}


def extend(row: Row, rows: int, *, copy_row: int | None = None, fill: float = 0.0) -> Row:
    """Add rows behind those of a target tensor.

    Args:
        row: the target tensor.
        rows: how many rows to add.
        copy_row: the row of the source tensor that the new rows copy; None fills them with `fill`.
        fill: the number that the new rows hold without `copy_row`.

    Returns:
        The longer target tensor.
    """
    what = f"copies of row {copy_row}" if copy_row is not None else f"rows of {fill:g}"
    return replace(
        row,
        shape=(row.shape[0] + rows, *row.shape[1:]),
        operation=row.operation.followed_by(f" + {rows} {what}"),
        extra_rows=rows,
        extra_from=copy_row,
        extra_fill=fill,
    )
