"""A local file of which some bytes are there yet: as large as the remote one, with holes, and a list of what is no hole.

    blobs/<sha256>         the bytes
    blobs/<sha256>.json    {"size": 4300000000, "ranges": [[0, 65536], ...]}

The list is replaced in one step, after the bytes have reached the disk, so that it never names a byte that is not there,
whenever a process or the machine stops. Of two processes that fill one file the later list wins what it does not know of;
that costs a request, and no byte is ever wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prenorm.files import json_object
from prenorm.files.spans import Range, Spans

_MOST_LISTED = 16 << 20  # bytes of a list


class SparseFile:
    """A file with holes.

    Attributes:
        path: where it is.
        size: the bytes of the whole.
        there: the bytes that are there.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Open the file, or make one that is all hole.

        Args:
            path: where it is to be; its folder is made.
            size: the bytes of the whole.

        Raises:
            OSError: if the system cannot make such a file there.
        """
        self.path, self.size = path, size
        self._list = path.with_name(f"{path.name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size not in (0, size):
            self.forget()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        if os.fstat(self._handle).st_size == 0:
            self._list.unlink(missing_ok=True)  # one of a file that somebody removed
            try:
                os.ftruncate(self._handle, size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from error
        self.there = self._listed()
        with suppress(OSError):
            os.utime(self._list)  # when it was last of use: `remove_unused` goes by that

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def missing(self, ranges: Iterable[Range]) -> Iterator[Range]:
        """Yield what of some ranges is a hole.

        Args:
            ranges: the ranges.

        Yields:
            Range: the holes.
        """
        for start, end in ranges:
            yield from self.there.missing(start, end)

    def write(self, at: int, data: bytes) -> None:
        """Write bytes; they count as there when `keep` has been called.

        Args:
            at: where the first of them goes.
            data: the bytes.

        Raises:
            OSError: if the disk is full, or fails.
        """
        view = memoryview(data)
        try:
            os.lseek(self._handle, at, os.SEEK_SET)
            while view:
                view = view[os.write(self._handle, view) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def keep(self, start: int, end: int) -> None:
        """List bytes as there, for this and later runs.

        Args:
            start: the first byte.
            end: the first one behind them.

        Raises:
            OSError: if the disk is full, or fails.
        """
        self.there.add(start, end)
        for other in self._listed():
            self.there.add(*other)
        if not self._is_at_its_place():
            return  # somebody removed it: what is written still serves this process
        os.fsync(self._handle)
        made = self._list.with_name(f"{self._list.name}.{os.getpid()}")
        made.write_text(json.dumps({"size": self.size, "ranges": list(self.there)}), encoding="utf-8")
        made.replace(self._list)

    def forget(self) -> None:
        """Remove the file, the list first."""
        self._list.unlink(missing_ok=True)  # without it all of the file is a hole
        with suppress(OSError):  # Windows keeps a file that is open
            self.path.unlink()

    def _is_at_its_place(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._handle))
        except FileNotFoundError:
            return False

    def _listed(self) -> Spans:
        """Read the list; one that cannot be right lists nothing."""
        content = json_object(self._list, most=_MOST_LISTED) or {}
        ranges = content.get("ranges")
        if content.get("size") != self.size or not isinstance(ranges, list):
            return Spans()
        if not all(_is_range(one, self.size) for one in ranges):
            return Spans()
        return Spans((start, end) for start, end in ranges)


def _is_range(value: object, size: int) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not all(type(end) is int for end in value):
        return False
    return bool(0 <= value[0] < value[1] <= size)


def remove_unused(folder: Path, before: float) -> None:
    """Remove files with holes that have not been of use for long.

    Args:
        folder: that holds them.
        before: those that were last of use before this time go, in seconds since the epoch.
    """
    for path in folder.glob("*"):
        if path.suffix == ".json":
            continue
        listed = path.with_name(f"{path.name}.json")
        with suppress(OSError):  # another process does the same
            last = max(one.stat().st_mtime for one in (path, listed) if one.exists())
            if last < before:
                listed.unlink(missing_ok=True)
                path.unlink()
