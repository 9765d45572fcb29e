"""The verdicts on the terminal: parity, verification and fitness."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prenorm.cli.console import escape, print_json, stdout, table
from prenorm.reports.facts import parity_rows
from prenorm.reports.failure import ProofFailed
from prenorm.reports.sentences import activation_sentences

if TYPE_CHECKING:
    from rich.console import Console

    from prenorm.cli.output import ReportOptions
    from prenorm.reports.model import Report

_MOST_SHOWN = 20
_STYLES = {"passed": "green", "not judged": "yellow"}
_MOST_CAUSES = 5


def print_judgement(report: Report) -> None:
    """Print what `verify` reports, whatever it judged by.

    Args:
        report: the report.
    """
    if report.is_fitness:
        print_fitness(report)
    else:
        print_verification(report)


def show_judgement(report: Report, output: ReportOptions) -> None:
    """Write the reports, and print the judgement as people or programs want it.

    Args:
        report: the report.
        output: the command's.
    """
    output.write(report)
    if output.as_json:
        print_json(report.to_dict())
    elif not output.quiet:
        print_judgement(report)


@contextmanager
def shown_if_it_fails(output: ReportOptions) -> Generator[None, None, None]:
    """Show the report of a proof that fails within, and let its error pass.

    Args:
        output: the command's.

    Yields:
        None: while the proof is made.
    """
    try:
        yield
    except ProofFailed as error:
        if error.report is not None:
            show_judgement(error.report, output)
        raise


def print_parity(report: Report) -> None:
    """Print the parity table: what was compared, how far apart, how far was allowed.

    Args:
        report: the report.
    """
    title = f"Parity ({report.reference}, {report.compute_dtype})"
    rows = table("check", "largest difference", "tolerance", "", title=title)
    for name, difference, tolerance, outcome in parity_rows(report):
        style = _STYLES.get(outcome, "bold red")
        rows.add_row(name, escape(difference), tolerance, f"[{style}]{outcome}[/{style}]")
    stdout().print(rows)


def print_verification(report: Report) -> None:
    """Print the verdict and its cause, the parity table, everything that disagrees, where the numbers part, and the verdict.

    Args:
        report: the report.
    """
    console = stdout()
    print_verdict(report)
    notes = report.target.get("notes", [])
    assert isinstance(notes, list)
    for note in notes:
        console.print(f"Note: {escape(str(note))}", soft_wrap=True)
    for cause in _first(report.causes, _MOST_CAUSES):
        console.print(f"[bold]Cause:[/bold] {escape(cause)}", soft_wrap=True)
    print_parity(report)
    _print_disagreements(console, report.disagreements)
    if report.divergence is not None:
        console.print(f"First divergence: {escape(report.divergence.module)}", soft_wrap=True)
        for label, text in (("made by", report.divergence.rule), ("looks like", report.divergence.hint)):
            if text:
                console.print(f"  {label}: {escape(text)}", soft_wrap=True)
    if report.cost_of_type is not None:
        cost = report.cost_of_type
        console.print(
            f"What {cost['dtype']} costs (not judged): same best token {float(cost['top1_agreement']):.2%}, "
            f"KL divergence {float(cost['kl_mean']):.1e} on average and {float(cost['kl_max']):.1e} at most",
            soft_wrap=True,
        )
    print_examples(report)
    print_verdict(report)


def print_examples(report: Report) -> None:
    """Print what a masked LM fills in, and how far the other form of GELU is; neither is judged.

    Args:
        report: the report.
    """
    console = stdout()
    for example in report.examples or ():
        console.print(f"Fills in: {escape(example.sentence)}", soft_wrap=True)
    for text in activation_sentences(report):
        console.print(escape(text), soft_wrap=True)


def print_verdict(report: Report) -> None:
    """Print the verdict: it stands before and behind what it rests on.

    Args:
        report: the report.
    """
    stdout().print(f"Verdict: {report.words}", style=_verdict_style(report), soft_wrap=True)


def _verdict_style(report: Report) -> str:
    """Return green for what passed and left nothing that counts, yellow for what did leave something."""
    if not report.passed:
        return "bold red"
    return "yellow" if report.unjudged_parts else "green"


def print_fitness(report: Report) -> None:
    """Print a line for each check of the folder, every problem, and the verdict with the number of checks not run.

    Args:
        report: the report.
    """
    console = stdout()
    rows = table("check", "found", "", title=f"Fitness (transformers {report.environment['transformers']})")
    for check in report.checks:
        style = {"passed": "green", "failed": "bold red"}.get(check.outcome, "yellow")
        outcome = check.outcome.upper() if check.outcome == "failed" else check.outcome
        rows.add_row(check.name, escape(check.finding), f"[{style}]{outcome}[/{style}]")
    console.print(rows)
    _print_disagreements(console, report.disagreements)
    not_run = sum(check.outcome == "not run" for check in report.checks)
    suffix = f" ({not_run} not run)" if not_run else ""
    console.print(f"Verdict: {report.words}{suffix}", style=_verdict_style(report), soft_wrap=True)


def _first(texts: Sequence[str], most: int) -> list[str]:
    """Return the first texts, and how many more there are."""
    left = len(texts) - most
    return [*texts[:most], *([f"... and {left} more; --report FILE has them all"] if left > 0 else [])]


def _print_disagreements(console: Console, disagreements: Sequence[str]) -> None:
    for text in disagreements[:_MOST_SHOWN]:
        console.print(f"[bold red]✗[/bold red] {escape(text)}", soft_wrap=True)
    if len(disagreements) > _MOST_SHOWN:
        console.print(f"... and {len(disagreements) - _MOST_SHOWN} more; --report FILE has them all", soft_wrap=True)
