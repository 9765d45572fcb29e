"""Running work on the terminal: bars on stderr, and warnings."""

from __future__ import annotations

import threading

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from prenorm.cli.console import escape, stderr

_DELAY = 0.7  # seconds after which work is worth a bar; what is over sooner shows none


class ConsoleProgress:
    """Shows running work on stderr: bars where that is a terminal and the work takes long; warnings always, unless quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Prepare the bars.

        Args:
            quiet: show nothing.
        """
        self._console = stderr(quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description:<11}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            console=self._console, disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._is_long = False
        self._timer = threading.Timer(_DELAY, self._appear)
        self._timer.daemon = True

    def __enter__(self) -> ConsoleProgress:
        """Begin to wait for the moment at which the bars appear."""
        if not self._bars.disable:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last bar as it stands."""
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        if self._bars.live.is_started:
            self._bars.stop()

    def _appear(self) -> None:
        self._is_long = True
        if self._bars.tasks:
            self._bars.start()

    def stage(self, name: str, total: int) -> None:
        """Fill the running bar, and begin another.

        Args:
            name: what the stage does.
            total: its steps; of a single one the bar only shows that work goes on.
        """
        if self._task is not None:
            steps = self._bars.tasks[self._task].total or 1
            self._bars.update(self._task, total=steps, completed=steps)
        self._task = self._bars.add_task(name, total=total if total > 1 else None)
        if self._is_long:
            self._bars.start()

    def advance(self, steps: int) -> None:
        """Move the bar on.

        Args:
            steps: how far.
        """
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def warn(self, text: str) -> None:
        """Print a warning above the bars.

        Args:
            text: one sentence.
        """
        self._console.print(f"[yellow]Warning:[/yellow] {escape(text)}", soft_wrap=True)
