"""What jobs.json and Slurm together say of each member: whether a task is to convert it, and which one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from prenorm.commands.run.slurm.client import ArrayTask, State, all_tasks, tasks
from prenorm.commands.run.slurm.jobs import Jobs, Submission, read_jobs
from prenorm.commands.run.state import Look, MemberState


@dataclass(frozen=True)
class Assignment:
    """The task that was given a member last.

    Attributes:
        submission: of its array.
        index: of the task.
        task: what Slurm says of it; None if it has forgotten it, or nobody asked.
    """

    submission: Submission
    index: str
    task: ArrayTask | None

    @property
    def job(self) -> str:
        """The number of its array."""
        return self.submission.job or ""

    @property
    def is_active(self) -> bool:
        """Whether the task is queued or runs."""
        return self.task is not None and self.task.state.is_active

    @property
    def words(self) -> str:
        """Where the member stands."""
        assert self.task is not None
        if self.task.state is State.RUNNING:
            return f"task {self.job}_{self.index} runs on {self.task.node}"
        return f"task {self.job}_{self.index} is queued" + (f" ({self.task.reason})" if self.task.reason else "")


@dataclass(frozen=True)
class Queue:
    """The tasks of a run.

    Attributes:
        jobs: what was submitted.
        places: the last task of each member that was ever given to one, by the member's name.
    """

    jobs: Jobs
    places: Mapping[str, Assignment]

    @classmethod
    def empty(cls) -> Queue:
        """Return the queue of a run of which nothing was submitted.

        Returns:
            No tasks.
        """
        return cls(Jobs(), {})

    @property
    def active(self) -> dict[str, Assignment]:
        """The members whose tasks are queued or run."""
        return {name: place for name, place in self.places.items() if place.is_active}

    @property
    def active_jobs(self) -> list[str]:
        """The numbers of the jobs that have such tasks."""
        return list(dict.fromkeys(place.job for place in self.active.values()))

    def with_words(self, looks: Mapping[str, Look]) -> dict[str, Look]:
        """Say of the members that are left where their tasks stand.

        Args:
            looks: what a look at each member tells, by name.

        Returns:
            The looks.
        """
        active = self.active
        return {
            name: replace(look, state=MemberState.LEFT, record=None, why=active[name].words)
            if name in active and look.state is not MemberState.DONE
            else look
            for name, look in looks.items()
        }


def queue_of(output: Path) -> Queue:
    """Ask Slurm for the tasks of a run.

    Args:
        output: the run's folder.

    Returns:
        The tasks.

    Raises:
        SlurmProblem: if Slurm does not answer.
        UsageProblem: if the list of jobs is damaged.
    """
    jobs = with_numbers(read_jobs(output))
    known = tasks([item.job for item in jobs.submissions if item.job is not None and not item.ended])
    places: dict[str, Assignment] = {}
    for submission in jobs.submissions:
        for index, names in submission.tasks.items():
            if submission.job is not None:
                place = Assignment(submission, index, known.get((submission.job, index)))
                places |= dict.fromkeys(names, place)
    return Queue(jobs, places)


def with_numbers(jobs: Jobs) -> Jobs:
    """Learn the numbers of jobs whose command was killed before it could write them down: the comment holds the key.

    Args:
        jobs: what was submitted.

    Returns:
        The same with the numbers that Slurm knows.
    """
    unknown = [item for item in jobs.submissions if item.job is None]
    if unknown:
        numbers = {task.comment: task.job for task in all_tasks().values()}
        for item in unknown:
            jobs = jobs.replaced(structs.replace(item, job=numbers.get(item.key)))
    return jobs
