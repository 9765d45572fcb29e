"""Atomic publication: a staging folder next to OUTPUT, and the one step that makes it OUTPUT.

A run works in `.OUTPUT.prenorm-staging-X` and holds a lock on it, which the system releases when the process ends, however
it ends. So whatever is not locked was left behind by a killed run, and the next run into the same OUTPUT removes it.

Where the system cannot exchange two folders in one step (NFS, macOS), replacing takes two renames, and the old OUTPUT is
set aside as `.OUTPUT.prenorm-old-X` between them. A run killed just there leaves no OUTPUT. The next run puts it back first,
and whoever reads OUTPUT before that is told where it is (`check_not_set_aside`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.files import CONFIG_FILE, REPORT_FILE, or_nearest
from prenorm.folder.filesystem import alone_in, exchange, lock_folder, rename_new, sync
from prenorm.options.language import command_name
from prenorm.options.spoken import spoken


def _another() -> str:
    return f"Choose another {spoken('output')}"


def _overwrite() -> str:
    return f"Pass {spoken('overwrite')} to replace it, or choose another {spoken('output')}"


_STAGING, _OLD = "prenorm-staging", "prenorm-old"
# What shows that an existing folder is a model folder, so that --overwrite cannot eat somebody's home directory.
_MODEL_FILES = (CONFIG_FILE, REPORT_FILE)


def check_output(output: Path, *, overwrite: bool, inputs: Iterable[Path]) -> None:
    """Refuse an OUTPUT that cannot be made, before any work is done. Put back one that a killed run set aside.

    Args:
        output: the folder to make.
        overwrite: whether it may replace a model folder.
        inputs: files and folders that the run reads.

    Raises:
        UsageProblem: if it exists and may not be overwritten, its parent is missing or read-only, or an input lies in it.
    """
    parent = output.absolute().parent
    if not parent.is_dir():
        raise UsageProblem(
            "the folder it should go into does not exist",
            subject=output,
            advice=or_nearest(output, f"Create {parent} first"),
        )
    # Read as well: leftovers of killed runs are looked for in it, and it is synced once OUTPUT is in place.
    if not os.access(parent, os.R_OK | os.W_OK | os.X_OK):
        raise UsageProblem("the folder it should go into is read-only or unreadable", subject=output, advice=_another())
    with alone_in(parent):
        _settle_old(output)
        if os.path.lexists(output):
            _check_existing(output, overwrite=overwrite)
    target = output.resolve()
    for path in inputs:
        if target in (path.resolve(), *path.resolve().parents) and os.path.lexists(output):
            raise UsageProblem(f"the input {path.name} lies in it and would be lost", subject=output, advice=_another())


def check_not_set_aside(folder: Path) -> None:
    """Refuse to read a folder that is absent because a run was killed while it replaced the folder in two renames.

    A run that is between the two renames at this moment is waited for.

    Args:
        folder: the folder to read; it may exist, or never have existed.

    Raises:
        UsageProblem: if the folder was set aside; it says where the old content is.
    """
    if os.path.lexists(folder) or not _named(folder, _OLD):
        return
    with alone_in(folder.absolute().parent):
        remains = [] if os.path.lexists(folder) else _named(folder, _OLD)
    if remains:
        raise UsageProblem(
            f"is missing: {command_name('convert')} was killed while it replaced the folder, and the old one is {remains[0]}",
            subject=folder,
            advice=f"Run that {command_name('convert')} again, or rename the old folder back",
        )


def _check_existing(output: Path, *, overwrite: bool) -> None:
    """Refuse an existing OUTPUT that may not be replaced."""
    if not overwrite:
        raise UsageProblem("exists already", subject=output, advice=_overwrite())
    if output.is_symlink() or not output.is_dir():
        raise UsageProblem("exists and is no folder, so it is not replaced", subject=output, advice=_another())
    if not os.access(output, os.R_OK | os.W_OK | os.X_OK):  # its files could not be removed
        raise UsageProblem("exists and is read-only, so it is not replaced", subject=output, advice=_another())
    if any(output.iterdir()) and not any((output / name).is_file() for name in _MODEL_FILES):
        raise UsageProblem(
            "exists and holds no model (no config.json), so it is not replaced", subject=output, advice=_another()
        )


@contextlib.contextmanager
def staging_folder(output: Path) -> Iterator[Path]:
    """Make a new folder next to OUTPUT, locked for as long as the process lives, and remove it at the end of the block.

    Leftovers of killed runs, which hold no lock any more, are removed first.

    Args:
        output: the folder that it is to become.

    Yields:
        Path: the empty folder.

    Raises:
        UsageProblem: if no folder can be made there.
    """
    remove_leftovers(output)
    lock: int | None = None
    # Named before it is made, so that an interruption in between leaves nothing.
    folder = _new_name(output, _STAGING)
    try:
        while True:
            try:
                lock = _make_locked(folder)
                break
            except (BlockingIOError, FileNotFoundError):  # another run took it for a leftover before it was locked
                folder = _new_name(output, _STAGING)
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def publish(folder: Path, output: Path, *, overwrite: bool) -> None:
    """Make the staging folder OUTPUT in one step. An existing OUTPUT takes its place, and is removed with it.

    Args:
        folder: the staging folder, complete.
        output: the folder that it becomes.
        overwrite: whether an existing model folder may be replaced.

    Raises:
        UsageProblem: if OUTPUT came into being meanwhile and may not be replaced.
    """
    for entry in (*folder.iterdir(), folder):
        sync(entry)
    parent = output.absolute().parent
    with alone_in(parent):
        _take_place(folder, output, overwrite=overwrite)
        sync(parent)


def _take_place(folder: Path, output: Path, *, overwrite: bool) -> None:
    """Rename the staging folder to OUTPUT, or exchange the two."""
    if overwrite and os.path.lexists(output):
        _check_existing(output, overwrite=True)  # it may be another one than at the start
        if not exchange(folder, output):
            _replace_in_two_steps(folder, output)
        return
    try:
        rename_new(folder, output)
    except FileExistsError as error:
        raise UsageProblem("was created while the conversion ran", subject=output, advice=_overwrite()) from error


def _replace_in_two_steps(folder: Path, output: Path) -> None:
    """Replace OUTPUT by two renames. Whatever fails between them, OUTPUT is put back; after a kill, by the next run."""
    aside = _new_name(output, _OLD)
    try:
        output.rename(aside)
        folder.rename(output)
        sync(aside.parent)
    finally:
        if os.path.lexists(output):
            _remove(aside)
        else:
            aside.rename(output)


def _settle_old(output: Path) -> None:
    """Put the OUTPUT back that a run set aside before it was killed; remove it if there is a new one."""
    for aside in _named(output, _OLD):
        if os.path.lexists(output):
            _remove(aside)
        else:
            aside.rename(output)


def remove_leftovers(output: Path) -> None:
    """Remove the staging folders of killed runs; those of running ones are locked.

    Args:
        output: the folder that they were to become.
    """
    for entry in _named(output, _STAGING):
        try:
            lock = lock_folder(entry)
        except OSError:  # locked by a running conversion, removed meanwhile, or not a folder
            continue
        if lock is not None:
            _remove(entry)
            os.close(lock)


def _named(output: Path, kind: str) -> list[Path]:
    """Return what the runs into OUTPUT left next to it, of one kind."""
    path = output.absolute()
    if not os.access(path.parent, os.R_OK):
        return []
    return [entry for entry in sorted(path.parent.iterdir()) if entry.name.startswith(f".{path.name}.{kind}-")]


def _remove(folder: Path) -> None:
    """Remove the folder, as far as permitted. A first interruption waits until that is done, a second one does not."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        # Interrupted while it closes a folder, rmtree closes it once more, and that error hides the interruption.
        interruption = error.__context__ if isinstance(error, OSError) else None
        raise interruption or error from None


def _new_name(output: Path, kind: str) -> Path:
    """Return a new hidden name next to OUTPUT."""
    path = output.absolute()
    return path.parent / f".{path.name}.{kind}-{os.urandom(8).hex()}"


def _make_locked(folder: Path) -> int | None:
    """Make the folder and lock it.

    Args:
        folder: the folder to make.

    Returns:
        The handle that holds the lock; None where folders cannot be locked.

    Raises:
        UsageProblem: if it cannot be made.
        BlockingIOError: if another run has locked it, to remove it.
        FileNotFoundError: if another run has removed it before it was locked.
    """
    try:
        folder.mkdir()
    except OSError as error:
        raise UsageProblem(f"cannot be made ({error.strerror})", subject=folder, advice=_another()) from error
    lock = lock_folder(folder)
    if lock is not None and not folder.exists():
        os.close(lock)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    return lock
