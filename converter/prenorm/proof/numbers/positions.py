"""Errors by position: where in a full-length row the two sides are apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from prenorm.reports.details import PositionLines

COLUMNS = 64  # a longer row is shown in so many stretches, each by its largest difference


@dataclass
class PositionErrors:
    """The largest difference by module and stretch of positions, over the row that covers every position."""

    by_module: dict[str, list[float]] = field(default_factory=dict)
    length: int = 0

    def add(self, module: str, expected: Tensor, actual: Tensor) -> None:
        """Take in one module's values of one row, or some columns of them.

        Args:
            module: its name in the report.
            expected: the reference's values, [length, width].
            actual: the folder's values, [length, width].
        """
        low, high = torch.aminmax(expected - actual, dim=-1)
        apart = torch.maximum(-low, high).nan_to_num(nan=float("inf"))
        self.length = len(apart)
        largest = [float(piece.max()) for piece in apart.tensor_split(min(COLUMNS, self.length))]
        before = self.by_module.get(module, largest)
        self.by_module[module] = [max(pair) for pair in zip(before, largest, strict=True)]

    def lines(self) -> PositionLines | None:
        """Return the lines of the report; None if nothing was taken in.

        Returns:
            The largest difference at each position, by module.
        """
        if not self.by_module:
            return None
        rows = tuple(tuple(float(f"{value:.2e}") for value in row) for row in self.by_module.values())
        return PositionLines(length=self.length, modules=tuple(self.by_module), max_abs_diff=rows)
