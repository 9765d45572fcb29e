"""What the terminal shows: progress and warnings on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from prenorm.checkpoint import Risk
from prenorm.errors import printable
from prenorm.reports.table import parity_rows

if TYPE_CHECKING:
    from prenorm.commands.convert import Conversion
    from prenorm.commands.inspect import Inspection
    from prenorm.hub.push import Pushed
    from prenorm.reports.model import Report

_MOST_SHOWN = 20
_RISK_STYLES = {Risk.PLAIN: "", Risk.FOREIGN: "yellow", Risk.CODE: "bold red"}


def escape(text: str) -> str:
    """Text from a file, as the console shows it: no markup, and nothing a terminal acts on, but for the ends of lines."""
    return escape_markup("\n".join(map(printable, text.split("\n"))))


class ConsoleProgress:
    """Shows a running conversion on stderr: bars where that is a terminal, warnings always (unless quiet)."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description:<10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            console=self._console, disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> ConsoleProgress:
        self._bars.start()
        self.stage("Reading", 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """Ends the running bar and begins another."""
        if self._task is not None:
            self._bars.update(self._task, completed=self._bars.tasks[self._task].total)
        self._task = self._bars.add_task(name, total=total)

    def advance(self, steps: int) -> None:
        """Moves the bar on."""
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def warn(self, text: str) -> None:
        """Shows a warning above the bars."""
        self._console.print(f"[yellow]Warning:[/yellow] {escape(text)}", soft_wrap=True)


def print_json(content: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    if not _is_plain(text):
        text = json.dumps(content, indent=2, default=str)
    sys.stdout.write(text + "\n")


def _is_plain(text: str) -> bool:
    """Whether stdout can hold the text, and a terminal would only print it."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return text.replace("\n", "").isprintable()


def print_error(message: str) -> None:
    """The one sentence on stderr."""
    Console(stderr=True, highlight=False).print(f"[red]Error:[/red] {escape(message)}", soft_wrap=True)


def print_conversion(result: Conversion) -> None:
    """The parity table and the folder."""
    console = _stdout()
    print_parity(result.report)
    table = _table("file", "bytes", "sha256", title=f"{result.output}")
    for item in sorted(result.output.iterdir()):
        table.add_row(item.name, f"{item.stat().st_size:,}", _digest(result.report, item.name))
    console.print(table)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.seconds.items())
    console.print(f"{result.plan.architecture}, for {result.plan.task.kind.value}: {result.plan.task.why}")
    console.print(f"{result.report.verdict.capitalize()}: {result.output} ({spent})", soft_wrap=True)


def print_parity(report: Report) -> None:
    """The parity table: what was compared, how far apart, how far was allowed."""
    table = _table(
        "check", "largest difference", "tolerance", "", title=f"Parity ({report.reference}, {report.compute_dtype})"
    )
    for name, difference, tolerance, outcome in parity_rows(report):
        style = "green" if outcome == "passed" else "bold red"
        table.add_row(name, difference, tolerance, f"[{style}]{outcome}[/{style}]")
    _stdout().print(table)


def print_judgement(report: Report) -> None:
    """What `verify` has found, in either way."""
    if report.is_fitness:
        print_fitness(report)
    else:
        print_verification(report)


def print_fitness(report: Report) -> None:
    """A line for each check of the folder, every problem, and the verdict; what was not run is counted beside it."""
    console = _stdout()
    table = _table("check", "found", "", title=f"Fitness (transformers {report.environment['transformers']})")
    for check in report.checks:
        style = {"passed": "green", "failed": "bold red"}.get(check.outcome, "yellow")
        outcome = check.outcome.upper() if check.outcome == "failed" else check.outcome
        table.add_row(check.name, escape(check.finding), f"[{style}]{outcome}[/{style}]")
    console.print(table)
    _print_disagreements(console, report.disagreements)
    left = sum(check.outcome == "not run" for check in report.checks)
    also = f" ({left} not run)" if left else ""
    console.print(f"Verdict: {report.verdict}{also}", style="green" if report.passed else "bold red")


def _print_disagreements(console: Console, found: Sequence[str]) -> None:
    for text in found[:_MOST_SHOWN]:
        console.print(f"[bold red]✗[/bold red] {escape(text)}", soft_wrap=True)
    if len(found) > _MOST_SHOWN:
        console.print(f"... and {len(found) - _MOST_SHOWN} more; --report FILE has them all")


def print_verification(report: Report) -> None:
    """The parity table, everything that disagrees, where the numbers part, and the verdict."""
    print_parity(report)
    console = _stdout()
    _print_disagreements(console, report.disagreements)
    if report.divergence is not None:
        console.print(f"First divergence: {escape(report.divergence.module)}", soft_wrap=True)
        for label, said in (("made by", report.divergence.rule), ("looks like", report.divergence.hint)):
            if said:
                console.print(f"  {label}: {escape(said)}", soft_wrap=True)
    if report.cost_of_type is not None:
        cost = report.cost_of_type
        console.print(
            f"What {cost['dtype']} costs (not judged): same best token {float(cost['top1_agreement']):.2%}, "
            f"KL divergence {float(cost['kl_mean']):.1e} on average and {float(cost['kl_max']):.1e} at most"
        )
    console.print(f"Verdict: {report.verdict}", style="green" if report.passed else "bold red")


def print_recording(path: Path, facts: Mapping[str, Any]) -> None:
    """What was recorded."""
    source = facts["source"]
    _stdout().print(
        f"{escape(str(path))}: what {escape(source['file'])} (SHA-256 {source['sha256'][:16]}) computes as "
        f"{facts['config']['architecture']}",
        soft_wrap=True,
    )


def print_inspection(found: Inspection) -> None:
    """Description, fate, tensors, globals."""
    console = _stdout()
    facts = _table("", "", title=escape(found.file))
    for name, value in _facts(found):
        facts.add_row(name, escape(value))
    console.print(facts)
    tensors = _table("tensor", "type", "shape", "becomes", title=f"{len(found.tensors)} tensors")
    for line in found.tensors:
        fate = (
            f"{line.target}" + (f" ({line.reason})" if line.reason else "")
            if line.target
            else line.reason and f"dropped: {line.reason}"
        )
        tensors.add_row(escape(line.name), line.dtype, " x ".join(map(str, line.shape)) or "scalar", escape(fate))
    console.print(tensors)
    named = _table("global", "", title=f"{len(found.globals)} pickle globals (none was imported or run)")
    for item in found.globals:
        style = _RISK_STYLES[item.risk]
        label = escape(item.risk.value)
        named.add_row(escape(f"{item.module}.{item.name}"), f"[{style}]{label}[/{style}]" if style else label)
    console.print(named)
    if found.refusal is not None:
        console.print(
            f"[bold]Cannot be converted (exit code {found.refusal_code}):[/bold] {escape(found.refusal)}",
            soft_wrap=True,
        )
    elif found.converts_to is not None:
        console.print(
            f"[bold]Converts to[/bold] {found.converts_to['model_type']}, {found.converts_to['architecture']}, for "
            f"{found.converts_to['task']}: {found.converts_to['chosen_because']}",
            soft_wrap=True,
        )
    for text in found.warnings:
        console.print(f"[yellow]Note:[/yellow] {escape(text)}", soft_wrap=True)


def _facts(found: Inspection) -> Iterable[tuple[str, str]]:
    yield "size", f"{found.size:,} bytes, {found.container}"
    if len(found.files) > 1:
        yield "files", ", ".join(found.files)
    yield "contents", ", ".join(found.contents)
    if found.layout is not None:
        yield "layout", found.layout
    if found.description is not None:
        for name, value in vars(found.description).items():
            if name == "heads":
                value = ", ".join(f"{h.name} ({h.inner_size} -> {h.outputs})" for h in value) or "none"
            elif name == "training":
                value = ", ".join(f"{key}={item}" for key, item in value.items())
            if name not in ("layout", "container"):
                yield name.replace("_", " "), str(value)
    if found.converts_to is not None:
        yield "extra vocabulary rows", str(found.converts_to["extra_rows"])


def _digest(report: Report, name: str) -> str:
    files = report.target.get("files", [])
    assert isinstance(files, list)
    return next((str(item["sha256"])[:16] for item in files if item["name"] == name), "")


def _table(*columns: str, title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_push(result: Pushed) -> None:
    """What was sent, or would be, and where it is now."""
    console = _stdout()
    changes = result.changes
    table = _table("file", "bytes", "", title=result.repo_id)
    verb = "to send" if result.dry_run else "sent"
    for file in changes.send:
        table.add_row(escape(file.name), f"{file.size:,}", verb)
    for name in changes.remove:
        table.add_row(escape(name), "", "to remove" if result.dry_run else "removed")
    if changes:
        console.print(table)
    if changes.others:
        console.print(f"Left as they are: {escape(printable(', '.join(changes.others)))}")
    if not changes:
        console.print("Nothing to send: the repo has all of it.")
    if result.dry_run:
        where = f"{result.repo_id}, {result.revision}"
        console.print(f"Nothing was sent (--dry-run): {len(changes.send)} files to {escape(where)}.")
    else:
        console.print(escape(str(result.url)), soft_wrap=True)


def _stdout() -> Console:
    # Piped output is for reading too: a width that keeps one tensor on one line.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def output_as_json(result: Conversion) -> dict[str, object]:
    """What `convert --json` prints."""
    return {
        **result.report.to_dict(),
        "output": str(Path(result.output)),
        "chosen_because": result.plan.task.why,
        "warnings": list(result.warnings),
    }
