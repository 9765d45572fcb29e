"""Slurm's commands. What they answer is parsed here; that they fail is a `SlurmProblem` with Slurm's own sentence."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.options.spoken import spoken

COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")
# What is asked of sbatch for every array; another value would leave prenorm without its tasks or their logs.
_OURS = (
    "--array",
    "-a",
    "--output",
    "-o",
    "--error",
    "-e",
    "--wrap",
    "--wait",
    "-W",
    "--clusters",
    "-M",
    "--test-only",
)
_SECONDS = 120  # after which a command counts as failed
_FORMAT = "%F|%K|%T|%r|%N|%k"  # job, task, state, reason, nodes, comment
_LINE_START = re.compile(r"^(sbatch|squeue|scontrol|slurm_load_jobs)(: | )(error|fatal): ")
_USUAL_ARRAY_SIZE = 1001  # of a Slurm that was not set up otherwise


class SlurmProblem(UsageProblem):
    """Slurm refuses what is asked, or does not answer."""


class State(Enum):
    """What is known of a task."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    OUT_OF_MEMORY = "out of memory"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"  # its node failed, or another job took its place
    UNKNOWN = "unknown"  # to Slurm, which forgets tasks some minutes after their end

    @property
    def is_active(self) -> bool:
        """Whether the task is still to end."""
        return self in (State.QUEUED, State.RUNNING)


# Slurm's words for the states of a job that has ended, and for those of one that runs; in all others it is queued.
_STATES = {
    "COMPLETED": State.COMPLETED, "FAILED": State.FAILED, "OUT_OF_MEMORY": State.OUT_OF_MEMORY,
    "TIMEOUT": State.TIMEOUT, "DEADLINE": State.TIMEOUT, "CANCELLED": State.CANCELLED, "NODE_FAIL": State.LOST,
    "BOOT_FAIL": State.LOST, "PREEMPTED": State.LOST, "REVOKED": State.LOST, "RUNNING": State.RUNNING,
    "COMPLETING": State.RUNNING, "SUSPENDED": State.RUNNING, "STOPPED": State.RUNNING, "SIGNALING": State.RUNNING,
    "STAGE_OUT": State.RUNNING,
}  # fmt: skip


@dataclass(frozen=True)
class ArrayTask:
    """What Slurm says of one task of an array.

    Attributes:
        job: the number of its array.
        index: its own number.
        state: what it does.
        reason: why it is queued, in Slurm's word; empty for none.
        node: where it runs; empty while it does not.
        comment: of its job.
    """

    job: str
    index: str
    state: State
    reason: str = ""
    node: str = ""
    comment: str = ""


def missing_commands() -> list[str]:
    """Return which of Slurm's commands are not installed.

    Returns:
        Their names; none where Slurm can be used.
    """
    return [name for name in COMMANDS if shutil.which(name) is None]


def check_commands() -> None:
    """Refuse to work where Slurm's commands are not installed.

    Raises:
        UsageProblem: if one of them is missing.
    """
    if missing := missing_commands():
        raise UsageProblem(
            f"{spoken('slurm')} needs Slurm's commands, and {', '.join(missing)} cannot be found on this machine",
            advice="Run the command where jobs are submitted, or leave it out",
        )


def check_arguments(arguments: Iterable[str]) -> None:
    """Refuse arguments of sbatch that would take something from prenorm that it needs.

    Args:
        arguments: as the user gave them.

    Raises:
        UsageProblem: if one is prenorm's own, or no option of sbatch.
    """
    for word in split(arguments):
        if name_of(word) in _OURS:
            raise UsageProblem("it is set by prenorm itself", subject=spoken("sbatch", word), advice="Leave it out")


def split(arguments: Iterable[str]) -> list[str]:
    """Return what is passed to sbatch: each argument is split as a shell does.

    Args:
        arguments: as the user gave them.

    Returns:
        The words.

    Raises:
        UsageProblem: if a quote is not closed.
    """
    return [word for argument in arguments for word in _words(argument)]


def _words(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UsageProblem(f"is no argument of sbatch ({error})", subject=spoken("sbatch", argument)) from error


def name_of(word: str) -> str:
    """Return the name of an option of sbatch, without its value.

    Args:
        word: such as --mem=2G, -t10 or a value that stands by itself.

    Returns:
        The name; the word itself if it is none.
    """
    return word.partition("=")[0] if word.startswith("--") else word[:2] if word.startswith("-") else word


def has_option(words: Iterable[str], *names: str) -> bool:
    """Return whether an option of sbatch is among words.

    Args:
        words: what is passed to sbatch.
        *names: of the option.

    Returns:
        True if one of the names is.
    """
    return any(name_of(word) in names for word in words)


def submit(script: Path, arguments: Sequence[str]) -> str:
    """Submit a batch script.

    Args:
        script: the file.
        arguments: what sbatch is given besides; it comes before what the script says.

    Returns:
        The number of the job.

    Raises:
        SlurmProblem: if Slurm refuses it.
    """
    return _run("sbatch", "--parsable", *arguments, str(script)).strip().partition(";")[0]


def tasks(jobs: Collection[str]) -> dict[tuple[str, str], ArrayTask]:
    """Return what Slurm knows of the tasks of jobs, those among them that ended a short while ago.

    Args:
        jobs: their numbers.

    Returns:
        The tasks by job and index; none of a job that Slurm has forgotten.

    Raises:
        SlurmProblem: if it does not answer.
    """
    if not jobs:
        return {}
    # Asked for one job alone, squeue fails if that is forgotten; asked for two, it says nothing of it.
    return _tasks("--jobs", ",".join([*jobs, *jobs] if len(jobs) == 1 else jobs))


def all_tasks() -> dict[tuple[str, str], ArrayTask]:
    """Return all tasks that Slurm knows.

    Returns:
        The tasks by job and index, whoever submitted them.

    Raises:
        SlurmProblem: if it does not answer.
    """
    return _tasks()


def _tasks(*arguments: str) -> dict[tuple[str, str], ArrayTask]:
    answer = _run("squeue", "--noheader", "--array", "--states=all", f"--format={_FORMAT}", *arguments)
    known = (_task(line.strip()) for line in answer.splitlines() if line.count("|") >= _FORMAT.count("|"))
    return {(task.job, task.index): task for task in known}


def _task(line: str) -> ArrayTask:
    job, index, state, reason, node, comment = line.split("|", 5)
    return ArrayTask(job, index, _STATES.get(state, State.QUEUED), "" if reason == "None" else reason, node, comment)


def exit_code(job: str, index: str) -> int | None:
    """Return how the process of a task ended.

    Args:
        job: the number of its array.
        index: its own.

    Returns:
        Its exit code, or minus the number of the signal that ended it; None if Slurm has forgotten it.
    """
    try:
        answer = _run("scontrol", "show", "job", f"{job}_{index}", "--oneliner")
    except SlurmProblem:
        return None
    code = re.search(r"\bExitCode=(\d+):(\d+)", answer)
    if code is None:
        return None
    return -int(code[2]) if code[2] != "0" else int(code[1])


def array_size() -> int:
    """Return how many tasks an array may have.

    Returns:
        What Slurm is set up for.

    Raises:
        SlurmProblem: if it does not answer.
    """
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config"), re.MULTILINE)
    return max(int(size[1]), 1) if size is not None else _USUAL_ARRAY_SIZE


def _run(*command: str) -> str:
    """Run one of Slurm's commands, and return what it prints."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise SlurmProblem(f"it has not answered within {_SECONDS} seconds", subject=command[0]) from None
    except OSError as error:
        raise SlurmProblem(error.strerror or str(error), subject=command[0]) from error
    if done.returncode != 0:
        lines = [_LINE_START.sub("", line.strip()) for line in done.stderr.splitlines() if line.strip()]
        raise SlurmProblem("; ".join(lines) or f"it ended with exit code {done.returncode}", subject=command[0])
    return done.stdout
