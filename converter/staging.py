"""All or nothing: a staging folder beside OUTPUT, and the one step that makes it OUTPUT."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from converter.errors import UsageProblem

_MARK = ".prenorm-staging-"
_AT_FDCWD = -100
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
# What shows that an existing folder is a model folder, so that --overwrite cannot eat somebody's home directory.
_MODEL_FILES = ("config.json", "parity_report.json")


def check_output(output: Path, *, overwrite: bool, inputs: Iterable[Path]) -> None:
    """Refuses an OUTPUT that cannot be made, before any work is done.

    Raises:
        UsageProblem: if it exists and may not be overwritten, its parent is missing or read-only, or an input lies in it.
    """
    parent = output.absolute().parent
    if not parent.is_dir():
        raise UsageProblem(
            "the folder it should go into does not exist", subject=output, advice=f"Create {parent} first"
        )
    if os.path.lexists(output):
        _check_existing(output, overwrite=overwrite)
    target = output.resolve()
    for path in inputs:
        if target in (path.resolve(), *path.resolve().parents) and os.path.lexists(output):
            raise UsageProblem(
                f"the input {path.name} lies in it and would be lost", subject=output, advice="Choose another OUTPUT"
            )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageProblem("the folder it should go into is read-only", subject=output, advice="Choose another OUTPUT")


def _check_existing(output: Path, *, overwrite: bool) -> None:
    if not overwrite:
        raise UsageProblem(
            "exists already", subject=output, advice="Pass --overwrite to replace it, or choose another OUTPUT"
        )
    if output.is_symlink() or not output.is_dir():
        raise UsageProblem(
            "exists and is no folder, so it is not replaced", subject=output, advice="Choose another OUTPUT"
        )
    if any(output.iterdir()) and not any((output / name).is_file() for name in _MODEL_FILES):
        raise UsageProblem(
            "exists and holds no model (no config.json), so it is not replaced",
            subject=output,
            advice="Choose another OUTPUT",
        )


@contextlib.contextmanager
def staging_folder(output: Path) -> Iterator[Path]:
    """A new folder beside OUTPUT, held by a lock for as long as the process lives, and gone when the block is left.

    Leftovers of killed runs, which hold no lock any more, are removed first.

    Raises:
        UsageProblem: if no folder can be made there.
    """
    parent = output.absolute().parent
    _remove_leftovers(parent, output.name)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}{_MARK}", dir=parent))
    except OSError as error:
        raise UsageProblem(
            f"nothing can be written beside it ({error.strerror})", subject=output, advice="Choose another OUTPUT"
        ) from error
    lock = _lock(folder)
    try:
        folder.chmod(0o777 & ~_umask())
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def publish(folder: Path, output: Path, *, overwrite: bool) -> None:
    """Makes the staging folder OUTPUT, in one step; an existing OUTPUT is exchanged for it, then removed.

    Raises:
        UsageProblem: if OUTPUT came into being meanwhile and may not be replaced.
    """
    for entry in (*folder.iterdir(), folder):
        _sync(entry)
    parent = output.absolute().parent
    if overwrite and output.is_dir() and not output.is_symlink():
        _exchange(folder, output)
    else:
        try:
            _rename_new(folder, output)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise UsageProblem(
                    "was created while the conversion ran", subject=output, advice="Run it again"
                ) from error
            raise
    _sync(parent)


def _exchange(folder: Path, output: Path) -> None:
    """Swaps the two; what was OUTPUT is then under the staging name, to be removed."""
    if _renameat2(folder, output, _RENAME_EXCHANGE):
        return
    # No atomic exchange on this system: two renames, the second one undone if it fails.
    aside = folder.with_name(folder.name + "-old")
    output.rename(aside)
    try:
        folder.rename(output)
    except OSError:
        aside.rename(output)
        raise
    aside.rename(folder)


def _rename_new(folder: Path, output: Path) -> None:
    """Renames, but never onto something that exists (plain rename would replace an empty folder)."""
    if not _renameat2(folder, output, _RENAME_NOREPLACE):
        if os.path.lexists(output):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(output))
        folder.rename(output)


def _renameat2(old: Path, new: Path, flags: int) -> bool:
    """Linux's renameat2; False where the system or the file system has none."""
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


def _lock(folder: Path) -> int | None:
    """Locks the folder for this process; the system releases the lock when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: no folder locks, so leftovers are not cleaned there
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove_leftovers(parent: Path, name: str) -> None:
    try:
        leftovers = [entry for entry in parent.iterdir() if entry.name.startswith(f".{name}{_MARK}")]
    except OSError:
        return
    for entry in leftovers:
        lock = _lock(entry) if entry.is_dir() and not entry.is_symlink() else None
        if lock is not None:
            shutil.rmtree(entry, ignore_errors=True)
            os.close(lock)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Makes sure that a file or folder is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and syncs them by itself
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
