"""What atomic publication needs of the system: folder locks, a rename that replaces nothing, an exchange, a sync."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2


def lock_folder(folder: Path) -> int | None:
    """Lock the folder for this process; the system releases the lock when the process ends, however it ends.

    Args:
        folder: an existing folder.

    Returns:
        The handle that holds the lock until it is closed, or None where folders cannot be locked.

    Raises:
        BlockingIOError: if another process holds it.
        OSError: if it is no folder, or cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without folder locks, such as NFS: leftovers are not removed there
        os.close(handle)
        return None
    return handle


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock during the block, as far as folders can be locked.

    A process that has held the lock for a minute is not one of prenorm's, which hold it for two renames, and the block is
    entered without the lock.

    Args:
        folder: an existing folder.

    Yields:
        None: once the lock is held.
    """
    lock: int | None = None
    try:
        for _ in range(6000):
            try:
                lock = lock_folder(folder.resolve())
                break
            except BlockingIOError:
                time.sleep(0.01)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def rename_new(old: Path, new: Path) -> None:
    """Rename, but never onto something that exists (a plain rename would replace an empty folder).

    Args:
        old: what is renamed.
        new: its new name.

    Raises:
        FileExistsError: if `new` exists.
        OSError: if the system refuses for another reason.
    """
    if _renameat2(old, new, _RENAME_NOREPLACE):
        return
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    try:
        old.rename(new)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):  # made by another run a moment ago
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from error
        raise


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step.

    Args:
        one: an existing folder.
        other: another one, on the same file system.

    Returns:
        False where the system or the file system cannot do that.

    Raises:
        OSError: if it can, and refuses.
    """
    return _renameat2(one, other, _RENAME_EXCHANGE)


def _renameat2(old: Path, new: Path, flags: int) -> bool:
    """Call Linux's renameat2; return False where the system or the file system does not have it."""
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(old.absolute()), _AT_FDCWD, os.fsencode(new.absolute()), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(new))


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk.

    Args:
        path: the file or folder.

    Raises:
        OSError: if it cannot be opened or written.
    """
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and syncs them by itself
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
