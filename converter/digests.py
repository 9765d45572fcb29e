"""Checksums, computed beside the proof: of the source, of the written files, and of the bytes that were read.

The proof keeps the processor busy for longer than these keep the disk; nobody has to wait for them. While they last, torch
leaves them a core: a matrix product that has to wait for one of its threads loses more than that core does.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from converter.checkpoint import Checkpoint
from converter.checkpoint.mapped_file import ByteRange, MappedFile
from converter.checkpoint.tensors import SourceTensor

_CHUNK = 4 << 20


class Digests:
    """A thread that reads and hashes. Leaving the context stops it early."""

    def __init__(self, checkpoint: Checkpoint, tensors: Iterable[SourceTensor], folder: Path | None) -> None:
        """Prepares the work.

        Args:
            checkpoint: hashed whole, and held against its container's checksums where `tensors` lie.
            folder: every file in it is hashed; None: the checkpoint alone.
        """
        self._checkpoint = checkpoint
        self._views = [view for tensor in tensors for view in tensor.views]
        self._folder = folder
        self._found: dict[str, str] = {}
        self._sources: list[str] = []
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="digests", daemon=True)
        self._torch_threads = torch.get_num_threads()

    def __enter__(self) -> Digests:
        torch.set_num_threads(max(1, self._torch_threads - 1))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        torch.set_num_threads(self._torch_threads)

    def beside(self, tick: Callable[[int], None]) -> Callable[[int], None]:
        """`tick`, which is called between the stages of a computation; it also gives torch its core back when it can.

        The number of threads is the calling thread's own, so that this thread cannot set it for the one that computes.
        """

        def counted(steps: int) -> None:
            if not self._thread.is_alive() and torch.get_num_threads() != self._torch_threads:
                torch.set_num_threads(self._torch_threads)
            tick(steps)

        return counted

    def result(self) -> tuple[list[str], dict[str, str]]:
        """SHA-256 of the checkpoint's files in their order, and of the folder's by name, in hexadecimal; waits for them.

        Raises:
            UnreadableCheckpoint: if the tensors' bytes are not what was saved.
            OSError: if a file could not be read to its end.
        """
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._sources, self._found

    def _run(self) -> None:
        try:
            checked: set[tuple[MappedFile, ByteRange]] = set()
            for view in self._views:
                if (view.file, view.span) not in checked and not self._stop.is_set():
                    self._checkpoint.check_integrity(view)
                    checked.add((view.file, view.span))
            for path in sorted(self._folder.iterdir()) if self._folder else ():
                self._found[path.name] = self._sha256(path)
            self._sources += [self._sha256(file.path) for file in self._checkpoint.files]
        except Exception as error:  # raised again in the thread that asks for the result
            self._failure = error

    def _sha256(self, path: Path) -> str:
        digest = hashlib.sha256()
        buffer = bytearray(_CHUNK)
        with path.open("rb", buffering=0) as handle:
            if path.parent == self._folder:
                os.fsync(handle.fileno())  # so that publishing finds it on the disk already
            while (size := handle.readinto(buffer)) and not self._stop.is_set():
                digest.update(memoryview(buffer)[:size])
        return digest.hexdigest()
