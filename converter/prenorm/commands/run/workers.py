"""The scheduler of one machine: worker processes, each with torch imported once, that convert a member at a time."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

import prenorm_model
from prenorm.commands.run.member import change_of
from prenorm.commands.run.plan import Member, Problem, RunPlan
from prenorm.commands.run.resources import memory_of
from prenorm.commands.run.state import MemberRecord, MemberState, failure_of, look, write_record
from prenorm.commands.run.worker import WorkerLine
from prenorm.errors import PrenormError
from prenorm.folder.staging import remove_leftovers
from prenorm.options.language import Language, is_python
from prenorm.options.spoken import spoken
from prenorm.progress import Progress, RunProgress

_PATIENCE = 15.0  # seconds that a worker gets to clear up
_CHUNK = 1 << 16


class LocalWorkers:
    """Converts members by worker processes of this machine."""

    def __init__(self, jobs: int) -> None:
        """Keep how many.

        Args:
            jobs: the most workers at a time.
        """
        self._jobs = jobs

    def convert(
        self, plan: RunPlan, members: Sequence[Member], output: Path, progress: RunProgress
    ) -> dict[str, MemberRecord]:
        """Convert members; a worker that dies takes one of them with it.

        Args:
            plan: of the run; OUTPUT/run.json holds it already.
            members: those that are left.
            output: the run's folder.
            progress: receives what runs.

        Returns:
            The record of each member, by name.

        Raises:
            PrenormError: if no worker can be started.
        """
        with _Pool(plan, members, output, progress) as pool:
            return pool.run(min(self._jobs, len(members)))


class _Worker:
    """A worker process, and the member that it converts."""

    def __init__(self, output: Path, threads: int) -> None:
        language = Language.PYTHON if is_python() else Language.COMMAND_LINE
        # A session of its own: Ctrl-C reaches the command, which stops its workers in order.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prenorm.commands.run.worker", str(output), language.value],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=_environment(threads),
        )  # fmt: skip
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()
        self.is_ready = False
        self.member: Member | None = None
        self.progress: Progress | None = None
        self._unread = b""

    def give(self, member: Member, progress: Progress) -> None:
        """Let it convert a member."""
        assert self.process.stdin is not None
        self.member, self.progress = member, progress
        with contextlib.suppress(BrokenPipeError):  # it is dead, which its stdout tells, too
            self.process.stdin.write(f"{member.name}\n".encode())
            self.process.stdin.flush()

    def lines(self) -> list[WorkerLine] | None:
        """Return what it says now; None if it has ended."""
        piece = os.read(self.pipe, _CHUNK)
        if not piece:
            return None
        *whole, self._unread = (self._unread + piece).split(b"\n")
        return [msgspec.json.decode(line, type=WorkerLine) for line in whole]

    def close(self) -> None:
        """Let it end by itself, now that it has nothing to do."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def end(self, patience: float) -> None:
        """Wait until it has ended; kill it if that takes too long."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker: the same prenorm, and its share of the cores."""
    roots = [str(Path(__file__).parents[3]), str(Path(prenorm_model.__file__).parents[1])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
    }


class _Pool:
    """The workers of one command; leaving the context stops them."""

    def __init__(self, plan: RunPlan, members: Sequence[Member], output: Path, progress: RunProgress) -> None:
        self._plan, self._output, self._progress = plan, output, progress
        self._left = deque(members)
        self._workers: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._records: dict[str, MemberRecord] = {}

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.process.terminate() if worker.member is not None else worker.close()
        end = time.monotonic() + _PATIENCE
        for worker in self._workers.values():
            worker.end(max(end - time.monotonic(), 0))
        self._selector.close()

    def run(self, jobs: int) -> dict[str, MemberRecord]:
        """Convert all members."""
        for _ in range(jobs):
            self._start()
        while self._workers:
            for key, _ in self._selector.select():
                self._listen(self._workers[key.fd])
        return self._records

    def _start(self) -> None:
        worker = _Worker(self._output, self._plan.threads)
        self._workers[worker.pipe] = worker
        self._selector.register(worker.pipe, selectors.EVENT_READ)

    def _listen(self, worker: _Worker) -> None:
        lines = worker.lines()
        if lines is None:
            self._bury(worker)
            return
        for line in lines:
            if line.ready:
                worker.is_ready = True
                self._next(worker)
            elif line.record is not None:
                self._end(worker, line.record)
                self._next(worker)
            elif worker.progress is not None:
                _show(line, worker.progress)

    def _next(self, worker: _Worker) -> None:
        """Give a worker that has nothing to do the next member, or let it end."""
        if not self._left:
            worker.close()
            return
        member = self._left.popleft()
        worker.give(member, self._progress.member(member.name))

    def _end(self, worker: _Worker, record: MemberRecord) -> None:
        worker.member = worker.progress = None
        self._records[record.name] = record
        self._progress.ended(record.name, record.verdict or "failed")

    def _bury(self, worker: _Worker) -> None:
        """Take leave of a worker that has ended, and let another do what it cannot."""
        self._selector.unregister(worker.pipe)
        del self._workers[worker.pipe]
        code = worker.process.wait()
        if worker.member is not None:
            self._end(worker, self._last_of(worker.member, code))
        elif not worker.is_ready:
            raise PrenormError(
                f"a worker process ended while it started ({_ending(code)})",
                advice=f"What it printed says why; {spoken('jobs')} 1 needs the least memory",
            )
        if self._left and len(self._workers) < len(self._left):
            self._start()

    def _last_of(self, member: Member, code: int) -> MemberRecord:
        """Return what became of the member of a worker that died; it may have published the folder just before."""
        seen = look(self._plan, member, self._output)
        if seen.state is MemberState.DONE and seen.record is not None:
            return seen.record
        problem = change_of(self._plan, member) or _death(code, member)
        record = failure_of(self._plan, member, problem)
        remove_leftovers(self._output / record.name)
        with contextlib.suppress(OSError):  # on a full disk: the command tells it all the same
            write_record(self._output, record)
        return record


def _show(line: WorkerLine, progress: Progress) -> None:
    if line.warning is not None:
        progress.warn(line.warning)
    elif line.stage is not None:
        progress.stage(line.stage, line.total)
    else:
        progress.advance(line.advance)


def _ending(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _death(code: int, member: Member) -> Problem:
    """Return the problem of a member whose worker died."""
    cause = f"the process that converted it ended without a word ({_ending(code)})"
    advice = "Repeat the command"
    if code == -signal.SIGKILL:
        cause += ", as one does that the system ends for want of memory"
        gigabytes = memory_of(member) / 1e9
        advice = f"It needs about {gigabytes:.1f} GB; repeat the command with a smaller {spoken('jobs')}"
    elif code == -getattr(signal, "SIGBUS", 0):
        cause += ", as one does whose file is cut short while it is read, or whose disk is full"
    return Problem("terminated", cause, member.checkpoint, advice)
