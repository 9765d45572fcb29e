"""Checksums of the source, of the written files, and of the bytes that were read, computed while the proof runs.

The proof keeps the processor busy for longer than these keep the disk, so nobody waits for them. While they last, torch
leaves them a core: a matrix product that has to wait for one of its threads loses more than that core does.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from prenorm.checkpoint import Checkpoint, MappedFile, RangedFile
from prenorm.checkpoint.container.mapped_file import ByteRange
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor, storages
from prenorm.folder.source_sums import TensorSum, file_facts, tensor_sum

_CHUNK = 4 << 20
# What a core computes in float64 while another reads and hashes one byte: about 45 against 1.7 thousand million a second.
_OPERATIONS_PER_BYTE = 26


class Digests:
    """A thread that reads and hashes. Leaving the context stops it early."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Prepare to hash the whole checkpoint; `check` and `hash_folder` add to the work.

        Args:
            checkpoint: an open checkpoint.
        """
        self._checkpoint = checkpoint
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digests")
        self._sources: list[Future[str] | None] = []
        self._tensors: dict[MappedFile, Future[TensorSum]] = {}
        self._checks: list[Future[None]] = []
        self._files: Future[dict[str, str]] | None = None
        self._folder_bytes = 0
        self._torch_threads = 0

    def __enter__(self) -> Digests:
        self._sources = [
            self._thread.submit(self._sha256, file.path) if file.is_whole else None for file in self._checkpoint.files
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.shutdown(cancel_futures=True)
        if self._torch_threads:
            import torch

            torch.set_num_threads(self._torch_threads)

    def check(self, tensors: Iterable[SourceTensor]) -> None:
        """Compare the bytes of tensors with the container's checksums, too; hash them, where their file is not read whole.

        Args:
            tensors: the checkpoint's tensors that were read.
        """
        tensors = list(tensors)
        views = [view for tensor in tensors for view in tensor.views]
        for file, spans in storages(tensors).items():
            if not file.is_whole:
                self._tensors[file] = self._thread.submit(tensor_sum, file, spans, self._stopped.is_set)
        self._checks.append(self._thread.submit(self._check, views))

    def hash_folder(self, folder: Path) -> None:
        """Hash every file of a folder, too, and wait until each is on the disk.

        Args:
            folder: the staging folder, with all files that the proof reads.
        """
        self._folder_bytes += sum(path.stat().st_size for path in folder.iterdir())
        self._files = self._thread.submit(self._hash_folder, folder)

    def share_cores(self, tick: Callable[[int], None], stages: int, operations: float) -> Callable[[int], None]:
        """Let torch leave a core to the checksums during the first stages of a computation that begins now.

        During how many is computed, not measured: with another number of threads another last digit comes out, and the same
        input has to give the same report. The calling thread is the one that computes: torch's number of threads is its own.

        Args:
            tick: what the computation calls after each stage, with the number of stages done.
            stages: how many the computation has.
            operations: of the whole computation, in floating point.

        Returns:
            What the computation has to call instead of `tick`.
        """
        import torch

        size = self._folder_bytes + sum(
            file.seen.total if isinstance(file, RangedFile) else file.size for file in self._checkpoint.files
        )
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

    def result(self) -> tuple[list[dict[str, object]], dict[str, str]]:
        """Wait for all checksums.

        Returns:
            What a report says of the bytes of the checkpoint's files (`file_facts`), in their order; and SHA-256, in
            hexadecimal, of the folder's files by name.

        Raises:
            UnreadableCheckpoint: if the tensors' bytes are not what was saved, or a file is not the one that the Hub
                announced.
            OSError: if a file could not be read to its end.
        """
        sums = [None if source is None else source.result() for source in self._sources]
        for check in self._checks:
            check.result()
        tensors = {file: future.result() for file, future in self._tensors.items()}
        sources = [
            file_facts(self._checkpoint, file, sha256, tensors.get(file))
            for file, sha256 in zip(self._checkpoint.files, sums, strict=True)
        ]
        return sources, {} if self._files is None else self._files.result()

    def _check(self, views: Iterable[LazyTensor]) -> None:
        """Compare each range of bytes once."""
        checked: set[tuple[MappedFile, ByteRange]] = set()
        for view in views:
            if (view.file, view.span) not in checked and not self._stopped.is_set():
                self._checkpoint.check_integrity(view)
                checked.add((view.file, view.span))

    def _hash_folder(self, folder: Path) -> dict[str, str]:
        return {path.name: self._sha256(path, on_disk=True) for path in sorted(folder.iterdir())}

    def _sha256(self, path: Path, *, on_disk: bool = False) -> str:
        """Hash a file, and wait until it is on the disk, so that publishing finds it there already."""
        digest = hashlib.sha256()
        buffer = bytearray(_CHUNK)
        with path.open("rb", buffering=0) as handle:
            if on_disk:
                os.fsync(handle.fileno())
            while (size := handle.readinto(buffer)) and not self._stopped.is_set():
                digest.update(memoryview(buffer)[:size])
        return digest.hexdigest()
