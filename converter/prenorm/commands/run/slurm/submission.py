"""Submit what no task converts: one command at a time looks, writes down what it wants, and calls sbatch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from prenorm.commands.run.plan import Member, RunPlan
from prenorm.commands.run.slurm.client import SlurmProblem, array_size, has_option, split, submit
from prenorm.commands.run.slurm.ends import end_of, next_request
from prenorm.commands.run.slurm.jobs import ARRAY_SCRIPT, Jobs, Request, Submission, alone, read_jobs, write_jobs
from prenorm.commands.run.slurm.queue import Assignment, Queue, queue_of
from prenorm.commands.run.slurm.script import array_script, divided, request_of
from prenorm.commands.run.state import MemberState, look, record_path
from prenorm.errors import UsageProblem
from prenorm.files import write_whole
from prenorm.options.spoken import spoken


@dataclass(frozen=True)
class Work:
    """What one task is to convert, and with what.

    Attributes:
        members: in the plan's order.
        request: memory and time.
        is_retry: whether the last task was ended while it worked on the first of them.
    """

    members: tuple[Member, ...]
    request: Request
    is_retry: bool = False


class Submitter:
    """Submits arrays for one run."""

    def __init__(self, plan: RunPlan, output: Path, limit: int | None, arguments: Sequence[str]) -> None:
        """Keep what all arrays have in common.

        Args:
            plan: of the run.
            output: the run's folder.
            limit: how many tasks may run at a time; None for any number.
            arguments: what the user passes to sbatch.
        """
        self._plan, self._output, self._limit = plan, output.absolute(), limit
        self.words = split(arguments)

    def submit(self, members: Sequence[Member]) -> list[Submission]:
        """Submit all members that are not done and that no task is to convert.

        Args:
            members: those that are left.

        Returns:
            What was submitted.

        Raises:
            SlurmProblem: if Slurm refuses it, or does not answer.
        """
        with alone(self._output):
            queue = self._settled()
            wanted = [item for item in members if item.name not in queue.active and not self._is_done(item)]
            groups: dict[Request, list[Member]] = {}
            for member in wanted:
                groups.setdefault(self._least(queue.places.get(member.name)), []).append(member)
            work = []
            for least, group in groups.items():
                for part in divided(group, self._limit, array_size()):
                    request = request_of(part)
                    larger = Request(max(request.memory, least.memory), max(request.minutes, least.minutes))
                    work.append(Work(tuple(part), larger))
            return self._submit(queue, work)

    def submit_again(self, work: Sequence[Work]) -> list[Submission]:
        """Submit tasks, but for members that another command has submitted meanwhile.

        Args:
            work: the tasks.

        Returns:
            What was submitted.

        Raises:
            SlurmProblem: if Slurm refuses it, or does not answer.
        """
        with alone(self._output):
            queue = self._settled()
            active = queue.active
            lost = [
                replace(item, members=tuple(one for one in item.members if one.name not in active)) for item in work
            ]
            return self._submit(queue, [item for item in lost if item.members])

    def close(self) -> None:
        """Write down which jobs have ended, so that nobody asks for them any more."""
        with alone(self._output):
            self._settled()

    def _settled(self) -> Queue:
        """Return the queue, and write down what is known now: numbers of jobs, and which have ended."""
        queue = queue_of(self._output)
        active = set(queue.active_jobs)
        kept = tuple(
            structs.replace(item, ended=item.job not in active)
            for item in queue.jobs.submissions
            if item.job is not None
        )
        if kept != read_jobs(self._output).submissions:
            write_jobs(self._output, Jobs(submissions=kept))
        return Queue(Jobs(submissions=kept), queue.places)

    def _is_done(self, member: Member) -> bool:
        return look(self._plan, member, self._output).state is MemberState.DONE

    def _least(self, place: Assignment | None) -> Request:
        """Return what a member needs at least, as its last task has shown: nothing if that ended in order."""
        if place is None:
            return Request(0, 0)
        before = place.submission.request
        end = end_of(self._output, place.job, place.index, place.task, before)
        after = next_request(end, self.words)
        return Request(0, 0) if after is None or after == before else after

    def _submit(self, queue: Queue, work: Sequence[Work]) -> list[Submission]:
        """Submit an array for each amount of memory and time that tasks need."""
        groups: dict[Request, list[Work]] = {}
        for item in work:
            groups.setdefault(item.request, []).append(item)
        submitted: list[Submission] = []
        jobs, active = queue.jobs, queue.active_jobs
        for request, group in groups.items():
            tasks = {str(index): tuple(one.name for one in item.members) for index, item in enumerate(group)}
            submission = Submission(key=f"prenorm-{secrets.token_hex(6)}", request=request, tasks=tasks)
            jobs = Jobs(submissions=(*jobs.submissions, submission))
            write_jobs(self._output, jobs)
            number = self._call(submission, [*active, *(str(item.job) for item in submitted)], jobs)
            submitted.append(structs.replace(submission, job=number))
            jobs = jobs.replaced(submitted[-1])
            write_jobs(self._output, jobs)
        return submitted

    def _call(self, submission: Submission, active: Sequence[str], jobs: Jobs) -> str:
        """Write the script, and call sbatch; if it refuses, nothing was submitted."""
        limit = "" if self._limit is None else f"%{self._limit}"
        array = f"0-{len(submission.tasks) - 1}{limit}"
        script = self._output / ARRAY_SCRIPT
        text = array_script(
            self._plan, self._output, submission.tasks, submission.request, submission.key, self.words, array
        )
        write_whole(script, text.encode())
        arguments = [*self.words, f"--array={array}"]
        if self._limit is not None and active and not has_option(self.words, "--dependency", "-d"):
            arguments.append(f"--dependency=afterany:{':'.join(active)}")  # or more would run at a time than asked for
        for names in submission.tasks.values():
            for name in names:  # of an earlier try: what lies there once the task has ended is its own
                record_path(self._output, name, failed=True).unlink(missing_ok=True)
        try:
            return submit(script, arguments)
        except SlurmProblem as error:
            others = tuple(item for item in jobs.submissions if item.key != submission.key)
            write_jobs(self._output, Jobs(submissions=others))
            raise UsageProblem(
                f"Slurm refuses the job: {error.cause}",
                subject=error.subject,
                advice=f"Change what {spoken('sbatch')} passes, and repeat the command",
            ) from error
