"""A checkpoint file mapped into memory: bytes by range, and pages handed back once they have served."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import COPY_AGAIN, UnreadableCheckpoint, UsageProblem
from prenorm.files import or_nearest

CHUNK_BYTES = 8 << 20
Tick = Callable[[int], None]


@dataclass(frozen=True)
class ByteRange:
    """`size` bytes from `start` on."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind the range."""
        return self.start + self.size


class MappedFile:
    """A file of the user's, mapped copy-on-write: tensors may view it, nothing can change it on disk.

    `need`, `fetch` and `distrust` do nothing here: they are for a file whose bytes come from somewhere else (`RangedFile`).
    """

    def __init__(self, path: str | Path) -> None:
        """Map the file.

        Args:
            path: the file.

        Raises:
            UsageProblem: if there is no such file, or it is not a regular file.
            UnreadableCheckpoint: if it is empty or cannot be read.
        """
        self.path = Path(path)
        self.name = self.path.name  # messages and reports name the file, never the user's folders
        try:
            with open(path, "rb", buffering=0, opener=_open_at_once) as handle:
                status = os.fstat(handle.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise UsageProblem("is not a regular file", subject=path, advice="Give the checkpoint's .pt file")
                if status.st_size == 0:
                    raise UnreadableCheckpoint(
                        "the file is empty", subject=path, advice="Copy or download the checkpoint again"
                    )
                self.size = status.st_size
                self.map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)
        except FileNotFoundError:
            advice = or_nearest(Path(path), "Give the checkpoint's path")
            raise UsageProblem("there is no such file", subject=path, advice=advice) from None
        except IsADirectoryError:
            raise UsageProblem(
                "is a directory", subject=path, advice="Give the checkpoint file inside it, say checkpoint_best.pt"
            ) from None
        except OSError as error:
            raise UnreadableCheckpoint(
                f"cannot be read ({error.strerror})", subject=path, advice="Check its permissions"
            ) from error

    @property
    def is_whole(self) -> bool:
        """Whether all of the file's bytes are there, so that its checksum can be computed."""
        return True

    def need(self, span: ByteRange) -> None:
        """Have bytes there, before the mapping is looked at.

        Args:
            span: the bytes.
        """

    def fetch(self, spans: Iterable[ByteRange], tick: Tick | None = None) -> None:
        """Have bytes there that will be needed, in as few steps as can be.

        Args:
            spans: the bytes, in any order.
            tick: receives the number of bytes that arrive.
        """

    def distrust(self) -> None:
        """Keep nothing of the file for a later run: it turned out to be damaged."""

    def read(self, start: int, size: int) -> bytes:
        """Copy some bytes; for headers, not for weights.

        Args:
            start: the first byte.
            size: how many.

        Returns:
            The bytes.

        Raises:
            UnreadableCheckpoint: if they would lie outside the file.
        """
        if start < 0 or size < 0 or start + size > self.size:
            raise UnreadableCheckpoint(
                f"{size} bytes at offset {start} would lie outside the file of {self.size} bytes",
                subject=self.name,
                advice=COPY_AGAIN,
            )
        self.need(ByteRange(start, size))
        return self.map[start : start + size]

    def view(self, span: ByteRange) -> memoryview:
        """View a range of the file without a copy.

        Args:
            span: the bytes to view.

        Returns:
            A view of the mapping.
        """
        self.need(span)
        return memoryview(self.map)[span.start : span.end]

    def chunks(self, span: ByteRange) -> Iterator[memoryview]:
        """View a range piece by piece, handing each piece's pages back to the system once the next is asked for.

        Args:
            span: the bytes to view.

        Yields:
            memoryview: at most `CHUNK_BYTES` of the range, in order.
        """
        for start in range(span.start, span.end, CHUNK_BYTES):
            piece = ByteRange(start, min(CHUNK_BYTES, span.end - start))
            yield self.view(piece)
            self.release(piece)

    def release(self, span: ByteRange) -> None:
        """Take the pages of a range out of this process's memory; they can be read again.

        Harmless for a mapping that nobody writes to: the pages hold what the file holds. It keeps the peak of resident
        memory at one tensor instead of the whole file.

        Args:
            span: the bytes whose pages are no longer needed.
        """
        if not hasattr(self.map, "madvise") or span.size == 0:
            return
        first = -(-span.start // mmap.PAGESIZE) * mmap.PAGESIZE
        last = span.end // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            self.map.madvise(mmap.MADV_DONTNEED, first, last - first)


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe that nobody writes to would hold the command for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
