"""The report of a run, made of the plan and of what lies in OUTPUT, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from prenorm.commands.run.movement import movements
from prenorm.commands.run.plan import Member, RunPlan, read_struct, write_struct
from prenorm.commands.run.state import Look
from prenorm.files import write_whole
from prenorm.progress import Progress
from prenorm.reports.run_model import RunMember, RunReport

RUN_REPORT = "run_report"
PLOTS_FOLDER = "plots"


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


def with_movements(report: RunReport, looks: Mapping[str, Look], output: Path, progress: Progress) -> RunReport:
    """Add how far the weights moved from each member that is done to the next one that is.

    Args:
        report: of the run.
        looks: what a look at each member tells, by name.
        output: the run's folder.
        progress: receives how many pairs are compared.

    Returns:
        The report with its movements.
    """
    names = [member.name for member in report.members if member.is_done]
    before: RunReport | None = read_struct(output / f"{RUN_REPORT}.json", RunReport)
    known = before.movements if before is not None else ()
    return structs.replace(report, movements=movements(output, looks, names, known, progress))


def write_run_report(output: Path, report: RunReport) -> None:
    """Write the report of a run in every form, and its plots, unless all of it is there.

    Args:
        output: the run's folder.
        report: of the run.
    """
    forms = [output / f"{RUN_REPORT}{suffix}" for suffix in (".json", ".md", ".html")]
    if all(path.is_file() for path in forms) and read_struct(forms[0], RunReport) == report:
        return
    from prenorm.reports import run_html, run_markdown  # they bring matplotlib
    from prenorm.reports.plots.run_plots import RUN_PLOTS, has_plot, run_png

    (output / PLOTS_FOLDER).mkdir(exist_ok=True)
    for name in RUN_PLOTS:
        path = output / PLOTS_FOLDER / f"{name}.png"
        if has_plot(report, name):
            write_whole(path, run_png(report, name))
        else:
            path.unlink(missing_ok=True)
    for path, form in zip(forms[1:], (run_markdown, run_html), strict=True):
        write_whole(path, form.render(report).encode())
    write_struct(forms[0], report)  # the last, so that it is there only if all of them are
