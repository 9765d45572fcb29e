"""What the work reports while it goes on. The commands call this; the console shows it."""

from __future__ import annotations

from typing import Protocol


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
