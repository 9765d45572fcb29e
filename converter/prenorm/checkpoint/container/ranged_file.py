"""A checkpoint whose bytes are fetched when they are needed, into a local file with holes that is mapped as any other.

Nothing is read before it is there, whoever reads it: `fetch` only makes few large requests of what would be many small ones.
What says where a stretch of bytes begins (the header of a zip record, the count in front of a storage) may lie scattered
between the weights, one request each. Then the place is computed, and held against the file when the stretch is first used.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile, Tick
from prenorm.errors import UnreadableCheckpoint
from prenorm.files.spans import Range, Spans

_LEAST = 64 << 10  # that is fetched at once: smaller requests take as long
_HEAD = 64 << 10  # of every file, which says what it is; torch's pickle often ends in it


class ByteSource(Protocol):
    """Where the bytes of a file come from: a place on the Hub."""

    @property
    def size(self) -> int:
        """The bytes of the whole file."""

    def fetch(self, ranges: Sequence[Range], tick: Tick | None = None) -> None:
        """Write bytes to the local file, unless they are there.

        Args:
            ranges: the bytes.
            tick: receives the number of bytes that arrive.
        """

    def missing(self, ranges: Sequence[Range]) -> int:
        """Count the bytes that are not in the local file yet.

        Args:
            ranges: the bytes.

        Returns:
            How many would be fetched, with those between ranges that are fetched as one.
        """

    def forget(self) -> None:
        """Remove the local file: its bytes are not those that were saved."""


@dataclass(frozen=True)
class _Guard:
    """What has to be read, and to hold, before the bytes behind it are used."""

    span: ByteRange
    preamble: ByteRange
    check: Callable[[], None]


class RangedFile(MappedFile):
    """A file of which only those bytes are fetched that somebody needs.

    POSIX leaves open whether a private mapping shows what is written to its file later. Linux, macOS and the BSDs show it,
    for pages that nobody wrote to through the mapping; nobody does.

    Attributes:
        seen: the bytes that were read, by whatever read them; more may have been fetched with them.
        is_only_looked_at: whether large tensors are compared by their checksums, as far as these tell.
    """

    def __init__(self, path: str | Path, source: ByteSource, *, is_only_looked_at: bool = False) -> None:
        """Map the local file, and fetch the first bytes.

        Args:
            path: the local file, of full size.
            source: where its bytes come from.
            is_only_looked_at: whether nobody is going to read the weights.

        Raises:
            UnreadableCheckpoint: if the local file has another size.
            HubProblem: if the bytes cannot be had.
        """
        self.source = source
        self.seen = Spans()
        self.is_only_looked_at = is_only_looked_at
        self._lock = threading.RLock()
        self._guards: dict[int, _Guard] = {}
        self._starts: list[int] = []
        self._sums: dict[ByteRange, int] = {}
        source.fetch([(0, min(_HEAD, source.size))])
        super().__init__(path)
        if self.size != source.size:
            raise UnreadableCheckpoint(
                f"has {self.size} bytes in the cache, and {source.size} on the Hub",
                subject=self.path,
                advice="Remove it from the cache, and run the command again",
            )

    @property
    def bytes_read(self) -> int:
        """How many of the file's bytes were read."""
        return self.seen.total

    @property
    def is_whole(self) -> bool:
        """Whether all bytes were read, so that the whole file's checksum can be computed."""
        return self.seen.covers(0, self.size)

    def need(self, span: ByteRange) -> None:
        """Fetch bytes that are not there yet, and check what has to hold before they are used.

        Args:
            span: the bytes.

        Raises:
            UnreadableCheckpoint: if they do not begin where they should.
            HubProblem: if they cannot be had.
        """
        if span.size <= 0:
            return
        with self._lock:
            guards = self._guards_of(span)
            ranges = [(one.start, one.end) for one in (span, *(guard.preamble for guard in guards))]
            if guards or not self.seen.covers(span.start, span.end):
                if self.source.missing(ranges):
                    self.source.fetch([(start, min(max(end, start + _LEAST), self.size)) for start, end in ranges])
                self.seen.add(span.start, span.end)
            for guard in guards:
                self._check(guard)

    def fetch(self, spans: Iterable[ByteRange], tick: Tick | None = None) -> None:
        """Fetch bytes that will be needed, with what is checked before they are used.

        Args:
            spans: the bytes, in any order.
            tick: receives the number of bytes that arrive.

        Raises:
            HubProblem: if they cannot be had.
        """
        with self._lock:
            self.source.fetch(self._ranges(spans), tick)

    def missing(self, spans: Iterable[ByteRange]) -> int:
        """Count the bytes that `fetch` would fetch.

        Args:
            spans: the bytes, in any order.

        Returns:
            How many.
        """
        return self.source.missing(self._ranges(spans))

    def distrust(self) -> None:
        """Remove the local file, so that a later run fetches it anew."""
        self.source.forget()

    def guard(self, span: ByteRange, preamble: ByteRange, check: Callable[[], None], crc32: int | None = None) -> None:
        """Have something checked before a stretch of bytes is used for the first time.

        Args:
            span: the stretch.
            preamble: the bytes that the check reads, right before it.
            check: raises `UnreadableCheckpoint` if the stretch is not what it is taken for.
            crc32: the CRC-32 that the container states for the stretch, if it states one.
        """
        if span.size == 0:
            return
        self._guards[span.start] = _Guard(span, preamble, check)
        self._starts = []  # sorted anew when they are next looked through
        if crc32 is not None:
            self._sums[span] = crc32

    def stated_sum(self, span: ByteRange) -> int | None:
        """Return the CRC-32 that the container states for a stretch of bytes.

        Args:
            span: the stretch.

        Returns:
            The sum, which nothing was compared with; None where the container has none.
        """
        return self._sums.get(span)

    def _ranges(self, spans: Iterable[ByteRange]) -> list[Range]:
        return [
            (min([span.start, *(guard.preamble.start for guard in self._guards_of(span))]), min(span.end, self.size))
            for span in spans
            if span.size > 0 and span.start < self.size  # a place that the file claims may lie outside it
        ]

    def _guards_of(self, span: ByteRange) -> list[_Guard]:
        """Return what is still to be checked of the stretches that some bytes lie in."""
        if not self._guards:
            return []
        if not self._starts:
            self._starts = sorted(self._guards)
        at = max(bisect_right(self._starts, span.start) - 1, 0)
        guards: list[_Guard] = []
        while at < len(self._starts) and self._starts[at] < span.end:
            guard = self._guards.get(self._starts[at])
            if guard is not None and guard.span.end > span.start:
                guards.append(guard)
            at += 1
        return guards

    def _check(self, guard: _Guard) -> None:
        """Make a check once; it reads bytes that no guard stands before."""
        self._guards.pop(guard.span.start, None)
        passed = False
        try:
            guard.check()
        except UnreadableCheckpoint as error:
            error.subject = error.subject or self.name
            self.distrust()
            raise
        else:
            passed = True
        finally:
            if not passed:
                self._guards[guard.span.start] = guard
                self._starts = []
