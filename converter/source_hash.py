"""The SHA-256 of the checkpoint file, computed beside the conversion: reading 4 GB once more need not be waited for."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

_CHUNK = 4 << 20


class SourceHash:
    """Hashes a file in a thread of its own. Leave the context to stop it early."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = ""
        self._failure: OSError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source hash", daemon=True)

    def __enter__(self) -> SourceHash:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def result(self) -> str:
        """The digest in hexadecimal; waits for it.

        Raises:
            OSError: if the file could not be read to its end.
        """
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._digest

    def _run(self) -> None:
        digest = hashlib.sha256()
        buffer = bytearray(_CHUNK)
        try:
            with self._path.open("rb", buffering=0) as handle:
                while not self._stop.is_set():
                    size = handle.readinto(buffer)
                    if not size:
                        self._digest = digest.hexdigest()
                        return
                    digest.update(memoryview(buffer)[:size])
                    if hasattr(os, "posix_fadvise"):  # do not push the weights out of the system's cache
                        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_NOREUSE)
        except OSError as error:
            self._failure = error
