"""Why a task ended without converting what it was given, and whether another try makes sense."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prenorm.commands.run.plan import Member, Problem
from prenorm.commands.run.slurm.client import ArrayTask, State, exit_code
from prenorm.commands.run.slurm.jobs import Request, log_path
from prenorm.commands.run.slurm.script import sets_memory, sets_time
from prenorm.errors import printable
from prenorm.options.spoken import spoken

_TAIL = 1 << 14  # bytes of a log that are read
_LONGEST = 300  # characters of its last line that are shown
_SHELL = 128  # a shell adds it to the number of the signal that ended its command
# What Slurm writes into the log of a task that it ends: all that is known of one that it has forgotten.
_LOG_WORDS = (
    ("DUE TO TIME LIMIT", State.TIMEOUT),
    ("DUE TO PREEMPTION", State.LOST),
    ("DUE TO NODE FAILURE", State.LOST),
    ("oom_kill", State.OUT_OF_MEMORY),
    ("oom-kill", State.OUT_OF_MEMORY),
    ("exceeded memory limit", State.OUT_OF_MEMORY),
    ("CANCELLED AT", State.CANCELLED),
)


@dataclass(frozen=True)
class End:
    """How a task ended.

    Attributes:
        name: of the task, as Slurm has it: JOB_INDEX.
        state: what Slurm says of it, or its log.
        code: exit code of its process, or minus the signal that ended it; None where that is not known or says nothing.
        log: its log.
        last_line: of the log; empty if there is none.
        request: what it was given.
    """

    name: str
    state: State
    code: int | None
    log: Path
    last_line: str
    request: Request

    @property
    def signal(self) -> int | None:
        """The signal that ended its process; None for none."""
        if self.state is not State.FAILED or self.code is None:
            return None
        return -self.code if self.code < 0 else self.code - _SHELL if self.code > _SHELL else None

    @property
    def wants_memory(self) -> bool:
        """Whether it was ended for want of memory: where Slurm does not limit memory, the system kills without a word."""
        return self.state is State.OUT_OF_MEMORY or self.signal == signal.SIGKILL

    @property
    def concerns_all(self) -> bool:
        """Whether it ended for a reason that is the same for all its members: cancelled, or a command that cannot run."""
        return self.state is State.CANCELLED or (self.state is State.FAILED and self.signal is None)

    @property
    def may_be_late(self) -> bool:
        """Whether what it wrote may not be seen yet on this machine, as NFS shows another machine's files after a while."""
        return self.signal is None and self.state in (State.COMPLETED, State.FAILED, State.UNKNOWN)


def end_of(output: Path, job: str, index: str, task: ArrayTask | None, request: Request) -> End:
    """Find out how a task ended.

    Args:
        output: the run's folder.
        job: the number of its array.
        index: its own.
        task: what Slurm says of it; None if it has forgotten it.
        request: what it was given.

    Returns:
        The end.
    """
    log = log_path(output, job, index)
    lines = _last_lines(log)
    state = State.UNKNOWN if task is None else task.state
    if state is State.UNKNOWN:
        text = "\n".join(lines)
        state = next((known for words, known in _LOG_WORDS if words in text), state)
    code = exit_code(job, index) if state is State.FAILED else None
    return End(f"{job}_{index}", state, code, log, lines[-1][-_LONGEST:] if lines else "", request)


def next_request(end: End, words: Sequence[str]) -> Request | None:
    """Return what another try is given: twice of what was too little.

    Args:
        end: of the last try.
        words: what the user passes to sbatch; what it sets is not changed.

    Returns:
        Memory and time; None if another try would end the same way.
    """
    memory, minutes = end.request.memory, end.request.minutes
    if end.concerns_all or (end.state is State.OUT_OF_MEMORY and sets_memory(words)):
        return None
    if end.state is State.TIMEOUT:
        return None if sets_time(words) else Request(memory, 2 * minutes)
    return Request(2 * memory if end.wants_memory else memory, minutes)


def problem_of(end: End, member: Member) -> Problem:
    """Return the problem of a member that no task converts.

    Args:
        end: of the last try.
        member: what was to be converted.

    Returns:
        The problem, with the last line of the log.
    """
    cause = f"its task {end.name} {words_of(end)}"
    if end.last_line:
        cause += f"; its log ends with: {end.last_line}"
    advice = f"See {end.log}, and repeat the command" if end.last_line else "Repeat the command"
    if end.wants_memory:
        advice += f", with more memory: {spoken('sbatch', '--mem=...')}"
    elif end.state is State.TIMEOUT:
        advice += f", with more time: {spoken('sbatch', '--time=...')}"
    return Problem("terminated", cause, member.checkpoint, advice)


def words_of(end: End) -> str:
    """Say how a task ended.

    Args:
        end: of the task.

    Returns:
        The end of a sentence about it.
    """
    if end.signal is not None:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(end.signal).name}"
        return f"was killed by signal {end.signal}"
    if end.state is State.FAILED:
        return f"ended with exit code {end.code}" if end.code is not None else "failed"
    return {
        State.OUT_OF_MEMORY: f"needed more memory than it was given ({end.request.memory} MB)",
        State.TIMEOUT: f"took longer than it was given ({end.request.minutes} minutes)",
        State.CANCELLED: "was cancelled",
        State.LOST: "was lost: its node failed, or another job took its place",
        State.COMPLETED: "ended, and what it was to make is not there",
    }.get(end.state, "ended without a word")


def _last_lines(path: Path) -> list[str]:
    """Return the last lines of a log that are not empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [printable(line.strip()) for line in text.splitlines() if line.strip()][-20:]
