"""Who converts the members of a run. A scheduler gets what is left, and leaves a record for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from prenorm.commands.run.plan import Member, RunPlan
from prenorm.commands.run.state import MemberRecord
from prenorm.progress import RunProgress


class Scheduler(Protocol):
    """Converts members, by whatever means.

    Each is one call of `convert_member`, in a process that reads the plan itself: what a task of a batch system does is
    `prenorm convert-run RUN OUTPUT --member NAME`.
    """

    def convert(
        self, plan: RunPlan, members: Sequence[Member], output: Path, progress: RunProgress
    ) -> dict[str, MemberRecord]:
        """Convert members, all of them, whatever becomes of each; leave nothing running if interrupted.

        Args:
            plan: of the run; OUTPUT/run.json holds it already.
            members: those that are left, in the plan's order.
            output: the run's folder.
            progress: receives what runs.

        Returns:
            The record of each member that has ended, by name: those that a process could not write itself (it was killed,
            the disk is full) are nowhere else.
        """
