"""The report of a run, made of the plan and of what lies in OUTPUT, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from prenorm.commands.run.plan import Member, RunPlan
from prenorm.commands.run.state import Look
from prenorm.files import write_whole
from prenorm.reports.run_model import RunMember, RunReport

RUN_REPORT = "run_report"


def run_report(plan: RunPlan, looks: Mapping[str, Look]) -> RunReport:
    """Return what became of a run.

    Args:
        plan: of the run.
        looks: what a look at each member tells, by name.

    Returns:
        The report.
    """
    members = tuple(_member(member, looks[member.name]) for member in plan.members)
    return RunReport(prenorm=plan.prenorm, run=Path(plan.run).name, members=members)


def _member(member: Member, seen: Look) -> RunMember:
    reading, record = member.reading, seen.record
    problem = None if record is None else record.problem
    return RunMember(
        name=member.name,
        checkpoint=member.checkpoint,
        aliases=tuple(alias.checkpoint for alias in member.aliases),
        state=seen.state.value,
        updates=reading.updates,
        epoch=reading.epoch,
        training_loss=reading.training_loss,
        validation=reading.validation,
        metric=reading.metric,
        learning_rate=reading.learning_rate,
        verdict=None if record is None else record.verdict,
        margin=None if record is None else record.margin,
        nearest="" if record is None else record.nearest,
        bytes=0 if record is None else record.bytes,
        seconds=None if record is None else record.seconds,
        cause=seen.why if problem is None else problem.sentence,
        advice="" if problem is None else problem.advice,
        warnings=() if record is None else record.warnings,
    )


def write_run_report(output: Path, report: RunReport) -> None:
    """Write the report of a run, in every form.

    Args:
        output: the run's folder.
        report: of the run.
    """
    content = msgspec.json.format(msgspec.json.encode(report), indent=2)
    write_whole(output / f"{RUN_REPORT}.json", content + b"\n")
