"""The scheduler of a cluster: submit, wait with progress, submit again what was killed, and say why what failed did."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from prenorm.commands.run.plan import Member, RunPlan
from prenorm.commands.run.slurm.client import SlurmProblem, State
from prenorm.commands.run.slurm.ends import End, end_of, next_request, problem_of, words_of
from prenorm.commands.run.slurm.jobs import Submission
from prenorm.commands.run.slurm.queue import Assignment, Queue, queue_of
from prenorm.commands.run.slurm.script import request_of
from prenorm.commands.run.slurm.submission import Submitter, Work
from prenorm.commands.run.state import MemberRecord, MemberState, failure_of, look, write_record
from prenorm.errors import UsageProblem
from prenorm.progress import Progress, RunProgress
from prenorm.reports.text import count

_MOST_TRIES = 3  # of a member whose task is killed each time
_FIRST_PAUSE, _LONGEST_PAUSE, _SLOWING = 1.0, 15.0, 1.3  # seconds between two questions, and how they grow
_LATE = 60.0  # seconds after which an NFS client has asked its server again, as it is set up if nobody changes it


class SlurmArray:
    """Converts members by the tasks of job arrays."""

    def __init__(self, limit: int | None, arguments: Sequence[str], *, wait: bool) -> None:
        """Keep what the user asks for.

        Args:
            limit: how many tasks may run at a time; None for any number.
            arguments: what is passed to sbatch.
            wait: whether to wait for the tasks.
        """
        self._limit, self._arguments, self._wait = limit, arguments, wait

    def convert(
        self, plan: RunPlan, members: Sequence[Member], output: Path, progress: RunProgress
    ) -> dict[str, MemberRecord]:
        """Submit what no task is to convert yet, and wait for all that is left.

        Args:
            plan: of the run; OUTPUT/run.json holds it already.
            members: those that are left.
            output: the run's folder.
            progress: receives what runs.

        Returns:
            The record of each member whose task has ended, by name; none if nobody waits.

        Raises:
            SlurmProblem: if Slurm refuses the jobs, or does not answer.
        """
        submitter = Submitter(plan, output, self._limit, self._arguments)
        for submission in submitter.submit(members):
            progress.note(_submitted(submission))
        return _Waiting(plan, members, output, progress, submitter).run() if self._wait else {}


def _submitted(submission: Submission) -> str:
    names = [name for names in submission.tasks.values() for name in names]
    tasks = count(len(submission.tasks), "task")
    return f"submitted job {submission.job}: {count(len(names), 'checkpoint')} in {tasks}"


class _Waiting:
    """Waits for members, and settles each as done or failed."""

    def __init__(
        self, plan: RunPlan, members: Sequence[Member], output: Path, progress: RunProgress, submitter: Submitter
    ) -> None:
        self._plan, self._output, self._progress, self._submitter = plan, output, progress, submitter
        self._left = {member.name: member for member in members}
        self._tries: Counter[str] = Counter()
        self._lost: dict[str, float] = {}  # since when a task has ended without what it was to make
        self._records: dict[str, MemberRecord] = {}
        self._bar: Progress | None = None
        self._shown: list[str] = []
        self._refusals = 0

    def run(self) -> dict[str, MemberRecord]:
        """Wait until nothing is left."""
        pause = _FIRST_PAUSE
        before = None
        while self._left:
            now = self._turn()
            pause = _FIRST_PAUSE if now != before else min(pause * _SLOWING, _LONGEST_PAUSE)
            before = now
            if self._left:
                time.sleep(pause)
        with contextlib.suppress(SlurmProblem):
            self._submitter.close()
        return self._records

    def _turn(self) -> object:
        """Look once at Slurm and at what lies in OUTPUT; return what was seen, to be compared with the next time."""
        try:
            queue = queue_of(self._output)
        except SlurmProblem as error:
            self._say(f"{error.subject} does not answer ({error.cause}); the jobs go on, and it is asked again")
            return None
        lost: dict[tuple[str, str], list[str]] = {}
        for name in list(self._left):
            place = queue.places.get(name)
            if place is not None and place.is_active and place.task and place.task.state is State.QUEUED:
                continue
            if not self._settle(name) and (place is None or not place.is_active):
                lost.setdefault(("", "") if place is None else (place.job, place.index), []).append(name)
        work = [item for names in lost.values() for item in self._next(names, queue.places.get(names[0]))]
        self._submit(work)
        self._show(queue)
        return [(name, place.task) for name, place in queue.active.items()], len(self._left)

    def _settle(self, name: str) -> bool:
        """Return whether a member is done or has failed, as its files say."""
        seen = look(self._plan, self._left[name], self._output)
        if seen.state is MemberState.LEFT or seen.record is None:
            return False
        self._end(seen.record)
        return True

    def _end(self, record: MemberRecord) -> None:
        del self._left[record.name]
        self._records[record.name] = record
        self._progress.ended(record.name, record.verdict or "failed")

    def _next(self, names: Sequence[str], place: Assignment | None) -> list[Work]:
        """Return the tasks for members whose task has ended without them; the first of them it was working on."""
        members = [self._left[name] for name in names]
        if place is None:  # nobody knows of a task of theirs
            return [Work(tuple(members), request_of(members))]
        end = end_of(self._output, place.job, place.index, place.task, place.submission.request)
        since = self._lost.setdefault(end.name, time.monotonic())
        if end.may_be_late and time.monotonic() - since < _LATE:
            return []
        if end.concerns_all:
            for member in members:
                self._fail(member, end)
            return []
        suspect, rest = members[0], members[1:]
        request = next_request(end, self._submitter.words)
        self._tries[suspect.name] += 1
        work = [Work(tuple(rest), request_of(rest))] if rest else []
        if request is None or self._tries[suspect.name] >= _MOST_TRIES:
            self._fail(suspect, end)
            return work
        self._progress.warn(f"{suspect.name}: its task {end.name} {words_of(end)}; it is submitted again")
        return [Work((suspect,), request, is_retry=True), *work]

    def _fail(self, member: Member, end: End) -> None:
        record = failure_of(self._plan, member, problem_of(end, member))
        with contextlib.suppress(OSError):  # on a full disk: the command tells it all the same
            write_record(self._output, record)
        self._end(record)

    def _submit(self, work: Sequence[Work]) -> None:
        """Submit tasks again; a controller that is down for a while is asked again later."""
        if not work:
            return
        try:
            for submission in self._submitter.submit_again(work):
                self._progress.note(_submitted(submission))
        except UsageProblem as error:
            self._refusals += 1
            if self._refusals >= _MOST_TRIES:
                raise
            self._say(f"{error.cause}; it is tried again")
            self._tries.subtract(item.members[0].name for item in work if item.is_retry)
        else:
            self._refusals = 0

    def _show(self, queue: Queue) -> None:
        """Show how many tasks run and how many are queued, and why these are."""
        tasks = {(place.job, place.index): place.task for place in queue.active.values()}
        running = sum(task is not None and task.state is State.RUNNING for task in tasks.values())
        reasons = sorted({task.reason for task in tasks.values() if task is not None and task.reason})
        if self._bar is None:
            self._bar = self._progress.member("Slurm")
        self._bar.stage(f"{running} running, {len(tasks) - running} queued", 1)
        for reason in reasons:
            self._say(f"tasks are queued: {reason}")

    def _say(self, text: str) -> None:
        """Say something once."""
        if text not in self._shown:
            self._shown.append(text)
            self._progress.note(text)
