"""OUTPUT/slurm/jobs.json: which job was given which members. Written by whoever submits, and by one command at a time."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from prenorm.commands.run.plan import read_struct, write_struct
from prenorm.errors import UsageProblem

SLURM_FOLDER = "slurm"
JOBS_FILE = "jobs.json"
ARRAY_SCRIPT = "array.sh"
_LOCK = "submitting"
# Whoever submits makes a few calls of Slurm, none of which may take longer than two minutes.
_STALE = 900.0  # seconds after which the file of one who submits is that of a process that was killed
_PAUSE = 0.2  # seconds


class Request(Struct, frozen=True):
    """What a task is given: memory in MiB, and minutes."""

    memory: int
    minutes: int


class Submission(Struct, frozen=True, kw_only=True):
    """An array of tasks that was submitted.

    Attributes:
        key: tells it from every other one; the job's comment holds it.
        job: Slurm's number; None until it is known.
        request: what each task was given.
        tasks: the names of the members that a task converts, by its index.
        ended: whether all its tasks have ended.
    """

    key: str
    job: str | None = None
    request: Request
    tasks: dict[str, tuple[str, ...]]
    ended: bool = False


class Jobs(Struct, frozen=True, kw_only=True):
    """All submissions of a run, in their order."""

    schema_version: int = 1
    submissions: tuple[Submission, ...] = ()

    def replaced(self, changed: Submission) -> Jobs:
        """Return the same with one submission in place of the one with its key.

        Args:
            changed: the submission.

        Returns:
            The submissions in their order.
        """
        return Jobs(submissions=tuple(changed if item.key == changed.key else item for item in self.submissions))


def read_jobs(output: Path) -> Jobs:
    """Read which jobs were submitted for a run.

    Args:
        output: the run's folder.

    Returns:
        The jobs; none if there is no such file.

    Raises:
        UsageProblem: if it is damaged.
    """
    path = output / SLURM_FOLDER / JOBS_FILE
    jobs: Jobs | None = read_struct(path, Jobs)
    if jobs is None and os.path.lexists(path):
        raise UsageProblem(
            "is no list of jobs that this prenorm reads",
            subject=path,
            advice="If no job of this run is queued or running, remove it",
        )
    return jobs or Jobs()


def write_jobs(output: Path, jobs: Jobs) -> None:
    """Write which jobs were submitted for a run, in one step.

    Args:
        output: the run's folder.
        jobs: all of them.
    """
    write_struct(output / SLURM_FOLDER / JOBS_FILE, jobs)


def open_jobs(output: Path) -> list[str]:
    """Return the numbers of the jobs that may still be queued or running, as far as anybody has looked.

    Args:
        output: the run's folder.

    Returns:
        The numbers.
    """
    return [item.job for item in read_jobs(output).submissions if item.job is not None and not item.ended]


def log_path(output: Path, job: str, index: str) -> Path:
    """Return where the log of a task lies.

    Args:
        output: the run's folder.
        job: the number of its array.
        index: its own.

    Returns:
        The path.
    """
    return output / SLURM_FOLDER / f"{job}_{index}.log"


@contextmanager
def alone(output: Path) -> Generator[None, None, None]:
    """Let one command at a time look at the jobs and submit some.

    A file that must not exist is made, which every file system does in one step, NFS among them; no lock is needed. One that
    a killed process left is removed by the next process of its machine, or after a while by anybody.

    Args:
        output: the run's folder.

    Yields:
        None: while no other command submits.
    """
    folder = output / SLURM_FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / _LOCK
    while not _made(path):
        if _is_stale(path, folder):
            with suppress(FileNotFoundError):  # another took it away
                path.rename(aside := folder / f".{_LOCK}.{platform.node()}.{os.getpid()}")
                aside.unlink()
        else:
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _made(path: Path) -> bool:
    try:
        with path.open("x") as file:
            file.write(f"{platform.node()} {os.getpid()}\n")
    except FileExistsError:
        return False
    return True


def _is_stale(path: Path, folder: Path) -> bool:
    """Return whether a killed process left the file: the process is known to be gone, or the file is too old."""
    try:
        machine, _, process = path.read_text().strip().rpartition(" ")
        if machine == platform.node() and process.isdecimal():
            return not Path(f"/proc/{process}").exists() and Path("/proc/self").exists()
        now = folder / f".now.{platform.node()}.{os.getpid()}"
        now.touch()  # the time that the file server has, not this machine's
        age = now.stat().st_mtime - path.stat().st_mtime
        now.unlink()
    except FileNotFoundError:
        return False
    return age > _STALE
