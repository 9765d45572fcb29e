"""Sets of byte positions of one file, as ranges: those that are there, that were read, that are to be fetched."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]  # from the first byte up to the first one behind


class Spans:
    """A set of byte positions, kept as disjoint ranges in order that do not touch."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._starts, self._ends, strict=True))

    @property
    def total(self) -> int:
        """How many bytes it holds."""
        return sum(self._ends) - sum(self._starts)

    def covers(self, start: int, end: int) -> bool:
        """Return whether every byte of a range is in the set.

        Args:
            start: the first byte.
            end: the first one behind the range.

        Returns:
            True if none is lacking; an empty range lacks none.
        """
        at = bisect_right(self._starts, start) - 1
        return start >= end or (at >= 0 and end <= self._ends[at])

    def add(self, start: int, end: int) -> None:
        """Add a range.

        Args:
            start: the first byte.
            end: the first one behind the range.
        """
        if self.covers(start, end):
            return
        first = bisect_right(self._starts, start)
        if first and self._ends[first - 1] >= start:
            first -= 1
            start = self._starts[first]
        last = bisect_right(self._starts, end)
        if last > first:
            end = max(end, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start], [end]

    def missing(self, start: int, end: int) -> Iterator[Range]:
        """Yield what of a range is not in the set.

        Args:
            start: the first byte.
            end: the first one behind the range.

        Yields:
            Range: the parts that lack, in order.
        """
        at = max(bisect_right(self._starts, start) - 1, 0)
        while start < end and at < len(self._starts) and self._starts[at] < end:
            if self._starts[at] > start:
                yield start, self._starts[at]
            start = max(start, self._ends[at])
            at += 1
        if start < end:
            yield start, end


def joined(ranges: Iterable[Range], gap: int) -> list[Range]:
    """Put ranges in order, and join those between which there are few bytes: one request costs more than these.

    Args:
        ranges: in any order; they may overlap.
        gap: the most bytes between two that become one.

    Returns:
        Disjoint ranges in order.
    """
    made: list[Range] = []
    for start, end in sorted(ranges):
        if made and start - made[-1][1] <= gap:
            made[-1] = made[-1][0], max(made[-1][1], end)
        else:
            made.append((start, end))
    return made


def cut(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    """Cut ranges into pieces of a bounded size.

    Args:
        ranges: the ranges.
        size: the most bytes of a piece.

    Yields:
        Range: the pieces, in order.
    """
    for start, end in ranges:
        for at in range(start, end, size):
            yield at, min(at + size, end)
