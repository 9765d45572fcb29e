"""What the work reports while it goes on. The commands call this; the console shows it."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from IPython.display import DisplayHandle


class Progress(Protocol):
    """Receives stages, steps and warnings."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage.

        Args:
            name: what it does, such as Reading.
            total: its steps (bytes, for reading and writing).
        """

    def advance(self, steps: int) -> None:
        """Count steps of the stage as done.

        Args:
            steps: how many more.
        """

    def warn(self, text: str) -> None:
        """Report what the user should know, and what does not stop the work.

        Args:
            text: one sentence.
        """


@runtime_checkable
class RunProgress(Progress, Protocol):
    """Receives the stages before a run, and what becomes of its members, several of which may be worked on at a time."""

    def begin(self, members: int, done: int) -> None:
        """Begin the run.

        Args:
            members: how many it has.
            done: how many of them were done before.
        """

    def member(self, name: str) -> Progress:
        """Begin a member.

        Args:
            name: of its folder.

        Returns:
            What receives its stages.
        """

    def ended(self, name: str, words: str) -> None:
        """End a member.

        Args:
            name: of its folder.
            words: what became of it.
        """

    def note(self, text: str) -> None:
        """Tell what was done, and what is waited for.

        Args:
            text: one sentence.
        """


class OneBar:
    """A `RunProgress` that shows a run as one stage, whose steps are the members."""

    def __init__(self, progress: Progress) -> None:
        """Keep what shows it.

        Args:
            progress: receives the stage.
        """
        self._progress = progress
        self.stage, self.advance, self.warn = progress.stage, progress.advance, progress.warn

    def begin(self, members: int, done: int) -> None:
        """Begin the stage.

        Args:
            members: how many the run has.
            done: how many of them were done before.
        """
        self._progress.stage("Converting", members)
        self._progress.advance(done)

    def member(self, name: str) -> Progress:
        """Show nothing of a single member.

        Args:
            name: not used.

        Returns:
            What shows nothing.
        """
        return Silent()

    def ended(self, name: str, words: str) -> None:
        """Count a member.

        Args:
            name: not used.
            words: not used.
        """
        self._progress.advance(1)

    def note(self, text: str) -> None:
        """Show nothing of it.

        Args:
            text: not used.
        """


class Silent:
    """A `Progress` that shows nothing."""

    def stage(self, name: str, total: int) -> None:
        """Show nothing.

        Args:
            name: not used.
            total: not used.
        """

    def advance(self, steps: int) -> None:
        """Show nothing.

        Args:
            steps: not used.
        """

    def warn(self, text: str) -> None:
        """Show nothing.

        Args:
            text: not used.
        """


class NotebookProgress:
    """A bar below the cell of a notebook, which ends with the work, and warnings on stderr."""

    def __init__(self) -> None:
        """Prepare the bar; the first stage shows it."""
        self._handle: DisplayHandle | None = None
        self._name, self._total, self._done, self._percent = "", 0, 0, 0

    def __enter__(self) -> NotebookProgress:
        """Return the progress."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away, so that the saved notebook holds what came out."""
        self._show("")

    def stage(self, name: str, total: int) -> None:
        """Begin the bar anew.

        Args:
            name: what the stage does.
            total: its steps.
        """
        self._name, self._total, self._done, self._percent = name, total, 0, -1
        self.advance(0)

    def advance(self, steps: int) -> None:
        """Move the bar on.

        Args:
            steps: how far.
        """
        self._done += steps
        percent = min(100 * self._done // max(self._total, 1), 100)
        if percent != self._percent:  # the notebook is told a hundred times at most
            self._percent = percent
            self._show(f"{html.escape(self._name)} <progress max='100' value='{percent}'></progress> {percent} %")

    def warn(self, text: str) -> None:
        """Print a warning.

        Args:
            text: one sentence.
        """
        sys.stderr.write(f"Warning: {text}\n")

    def _show(self, content: str) -> None:
        from IPython.display import HTML, display

        if self._handle is not None:
            self._handle.update(HTML(content))
        elif content:
            self._handle = display(HTML(content), display_id=True)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook.

    Returns:
        True in a Jupyter kernel; False in a script, a shell and plain IPython.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config
