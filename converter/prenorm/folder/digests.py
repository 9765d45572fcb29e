"""Checksums, computed beside the proof: of the source, of the written files, and of the bytes that were read.

The proof keeps the processor busy for longer than these keep the disk; nobody has to wait for them. While they last, torch
leaves them a core: a matrix product that has to wait for one of its threads loses more than that core does.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prenorm.checkpoint import Checkpoint
from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor

_CHUNK = 4 << 20
# What a core computes in float64 while another reads and hashes one byte: about 45 against 1.7 thousand million a second.
_OPERATIONS_PER_BYTE = 26


class Digests:
    """A thread that reads and hashes. Leaving the context stops it early."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """The checkpoint is hashed whole; `check` and `hash_folder` add to the work."""
        self._checkpoint = checkpoint
        self._found: dict[str, str] = {}
        self._sources: list[str] = []
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._work.put(self._hash_sources)
        self._more_bytes = 0
        self._thread = threading.Thread(target=self._run, name="digests", daemon=True)
        self._torch_threads = 0

    def __enter__(self) -> Digests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._work.put(None)
        self._thread.join()
        if self._torch_threads:
            import torch

            torch.set_num_threads(self._torch_threads)

    def check(self, tensors: Iterable[SourceTensor]) -> None:
        """Holds the bytes of these tensors against the container's checksums, too."""
        views = [view for tensor in tensors for view in tensor.views]
        self._work.put(lambda: self._check(views))

    def hash_folder(self, folder: Path) -> None:
        """Hashes every file of the folder, too, and waits until it is on the disk."""
        self._more_bytes += sum(path.stat().st_size for path in folder.iterdir())
        self._work.put(lambda: self._hash_folder(folder))

    def beside(self, tick: Callable[[int], None], stages: int, operations: float) -> Callable[[int], None]:
        """`tick`, for a computation that begins now and calls it after each of its stages: in the first of them torch leaves
        a core to the work here. In how many is computed, not measured: with another number of threads another last digit
        comes out, and the same input has to give the same report. Threads are the computing thread's own to set.

        Args:
            operations: of the whole computation, in floating point.
        """
        import torch

        size = sum(file.size for file in self._checkpoint.files) + self._more_bytes
        left = min(stages, round(stages * size * _OPERATIONS_PER_BYTE / operations))
        if left == 0:
            return tick
        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(max(1, self._torch_threads - 1))

        def counted(steps: int) -> None:
            nonlocal left
            left -= steps
            if left <= 0:
                torch.set_num_threads(self._torch_threads)
            tick(steps)

        return counted

    def result(self) -> tuple[list[str], dict[str, str]]:
        """SHA-256 of the checkpoint's files in their order, and of the folder's by name, in hexadecimal; waits for them.

        Raises:
            UnreadableCheckpoint: if the tensors' bytes are not what was saved.
            OSError: if a file could not be read to its end.
        """
        self._work.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._sources, self._found

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                if self._failure is None:
                    work()
            except Exception as error:  # noqa: PERF203 - raised again in the thread that asks for the result
                self._failure = error

    def _check(self, views: Iterable[LazyTensor]) -> None:
        checked: set[tuple[MappedFile, ByteRange]] = set()
        for view in views:
            if (view.file, view.span) not in checked and not self._stop.is_set():
                self._checkpoint.check_integrity(view)
                checked.add((view.file, view.span))

    def _hash_folder(self, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            self._found[path.name] = self._sha256(path, on_disk=True)

    def _hash_sources(self) -> None:
        self._sources += [self._sha256(file.path) for file in self._checkpoint.files]

    def _sha256(self, path: Path, *, on_disk: bool = False) -> str:
        digest = hashlib.sha256()
        buffer = bytearray(_CHUNK)
        with path.open("rb", buffering=0) as handle:
            if on_disk:
                os.fsync(handle.fileno())  # so that publishing finds it on the disk already
            while (size := handle.readinto(buffer)) and not self._stop.is_set():
                digest.update(memoryview(buffer)[:size])
        return digest.hexdigest()
