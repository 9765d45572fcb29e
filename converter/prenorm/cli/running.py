"""A run on the terminal: a bar for all of it and for each checkpoint that is worked on, and what became of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from prenorm.cli import console
from prenorm.cli.bars import ConsoleProgress
from prenorm.cli.console import escape
from prenorm.cli.signals import resumable_run
from prenorm.commands.run.command import convert_run as run
from prenorm.commands.run.command import convert_some
from prenorm.commands.run.slurm import open_jobs
from prenorm.errors import ExitCode
from prenorm.reports.run_model import RunMember, RunReport
from prenorm.reports.text import number

if TYPE_CHECKING:
    from prenorm.cli.output import ConsoleOptions
    from prenorm.commands.run.state import MemberRecord
    from prenorm.options import ConvertMemberOptions, ConvertRunOptions

_MOST_ROWS = 40  # of the table; run_report.md has all
_MOST_FAILURES = 20
_STYLES = {"done": "green", "failed": "bold red", "left": "yellow"}


class RunBars(ConsoleProgress):
    """Shows a run on stderr: bars where that is a terminal, a line for each checkpoint elsewhere; a warning once."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Prepare the bars.

        Args:
            quiet: show nothing.
        """
        super().__init__(quiet=quiet)
        self._all = Progress(
            TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self._console, disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._run: TaskID | None = None
        self._members: dict[str, TaskID] = {}
        self._told: set[str] = set()
        self._number, self._total = 0, 0

    def __exit__(self, *details: object) -> None:
        """Leave the bar of the run as it stands."""
        super().__exit__(*details)
        if self._all.live.is_started:
            self._all.stop()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage before the run or behind it; a terminal shows one group of bars at a time.

        Args:
            name: what it does.
            total: its steps.
        """
        if self._all.live.is_started:
            self._all.stop()
            self._is_long = True
        super().stage(name, total)

    def begin(self, members: int, done: int) -> None:
        """Begin the run.

        Args:
            members: how many it has.
            done: how many of them were done before.
        """
        super().__exit__()  # the bars of reading
        self._number, self._total = done, members
        self._run = self._all.add_task("Checkpoints", total=members, completed=done)
        if not self._all.disable and done < members:
            self._all.start()

    def member(self, name: str) -> MemberBar:
        """Begin a checkpoint.

        Args:
            name: of its folder.

        Returns:
            Its bar.
        """
        self._members[name] = self._all.add_task(name, total=None)
        return MemberBar(self, self._all, self._members[name], name)

    def ended(self, name: str, words: str) -> None:
        """End a checkpoint.

        Args:
            name: of its folder.
            words: what became of it.
        """
        self._number += 1
        if (task := self._members.pop(name, None)) is not None:
            self._all.remove_task(task)
        if self._run is not None:
            self._all.advance(self._run)
        if not self._console.is_terminal:
            self._console.print(f"{escape(name)}: {escape(words)} ({self._number}/{self._total})", soft_wrap=True)

    def note(self, text: str) -> None:
        """Print what was done, and what is waited for.

        Args:
            text: one sentence.
        """
        self._console.print(escape(text), soft_wrap=True)

    def warn_once(self, name: str, text: str) -> None:
        """Print a warning, unless it was said of another checkpoint.

        Args:
            name: of the checkpoint's folder.
            text: one sentence.
        """
        if (kind := re.sub(r"\d+", "", text)) not in self._told:
            self._told.add(kind)
            self.warn(f"{name}: {text}")


class MemberBar:
    """The bar of one checkpoint, whose stages follow each other."""

    def __init__(self, run: RunBars, bars: Progress, task: TaskID, name: str) -> None:
        """Keep the bar.

        Args:
            run: the whole run.
            bars: all bars.
            task: this one.
            name: of the checkpoint's folder.
        """
        self._run, self._bars, self._task, self._name = run, bars, task, name

    def stage(self, name: str, total: int) -> None:
        """Begin a stage.

        Args:
            name: what it does.
            total: its steps.
        """
        description = f"{self._name} {name.lower()}"
        self._bars.reset(self._task, description=description, total=total if total > 1 else None)

    def advance(self, steps: int) -> None:
        """Move the bar on.

        Args:
            steps: how far.
        """
        self._bars.advance(self._task, steps)

    def warn(self, text: str) -> None:
        """Print a warning, unless it was said of another checkpoint.

        Args:
            text: one sentence.
        """
        self._run.warn_once(self._name, text)


def convert_run(options: ConvertRunOptions, output: ConsoleOptions) -> ExitCode:
    """Convert a run, and show what became of it.

    Args:
        options: the command's.
        output: what is shown.

    Returns:
        Whether all is done and proven.
    """
    with (
        resumable_run(lambda: open_jobs(Path(options.output)) if options.slurm else ()),
        RunBars(quiet=output.quiet) as progress,
    ):
        report = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json(report.to_dict())
    elif not output.quiet:
        _print_report(report)
    is_for_later = options.dry_run or options.no_wait
    return ExitCode.DONE if report.passed or is_for_later else ExitCode.PARITY_FAILED


def convert_members(options: ConvertMemberOptions, output: ConsoleOptions) -> ExitCode:
    """Convert some checkpoints of a run, and show what became of each.

    Args:
        options: the command's.
        output: what is shown.

    Returns:
        Whether all of them are done and proven.
    """
    with resumable_run(), ConsoleProgress(quiet=output.quiet) as progress:
        records = convert_some(replace(options, progress=progress))
    if output.as_json:
        import msgspec

        console.print_json({"members": msgspec.to_builtins(records)})
        return _exit_code(records)
    for record in records:
        if record.problem is not None:
            console.print_error(f"{record.name}: {record.problem.sentence}. {record.problem.advice}")
        elif not output.quiet:
            console.stdout().print(f"{record.name}: {escape(str(record.verdict))}", soft_wrap=True)
    return _exit_code(records)


def _exit_code(records: Sequence[MemberRecord]) -> ExitCode:
    return ExitCode.PARITY_FAILED if any(record.problem is not None for record in records) else ExitCode.DONE


def _print_report(report: RunReport) -> None:
    """Print a table of the checkpoints, each failure in one sentence, and how many are done."""
    stdout = console.stdout()
    table = console.table("folder", "checkpoint", "loss", "", "margin", title=report.run)
    chosen = report.members if len(report.members) <= _MOST_ROWS else _first_and_last(report)
    for member in chosen:
        style = _STYLES[member.state]
        table.add_row(
            escape(member.name), escape(", ".join([member.checkpoint, *member.aliases])), _loss(member),
            f"[{style}]{escape(_words(member))}[/{style}]", number(member.margin),
        )  # fmt: skip
    stdout.print(table)
    if len(chosen) < len(report.members):
        stdout.print(f"... {len(report.members) - len(chosen)} more")
    for member in report.failures[:_MOST_FAILURES]:
        text = f"{member.name}: {member.explanation}"
        stdout.print(f"[bold red]✗[/bold red] {escape(text)}", soft_wrap=True)
    if len(report.failures) > _MOST_FAILURES:
        stdout.print(f"... and {len(report.failures) - _MOST_FAILURES} more; --json has them all")
    stdout.print(escape(report.words), soft_wrap=True)


def _first_and_last(report: RunReport) -> list[RunMember]:
    half = _MOST_ROWS // 2
    return [*report.members[:half], *report.members[-half:]]


def _words(member: RunMember) -> str:
    if member.is_done:
        return member.verdict or member.state
    return f"{member.state}: {member.cause}" if member.state == "left" and member.cause else member.state


def _loss(member: RunMember) -> str:
    return "" if member.validation is None else f"{member.validation:.3f}"
