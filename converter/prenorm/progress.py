"""What a running conversion tells whoever watches it. The pipeline talks to this; the console shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives stages, steps and warnings."""

    def stage(self, name: str, total: int) -> None:
        """A stage begins, of `total` steps (bytes, for reading and writing)."""

    def advance(self, steps: int) -> None:
        """`steps` more steps of the stage are done."""

    def warn(self, text: str) -> None:
        """Something the user should know, which does not stop the conversion."""


class Silent:
    """A watcher that shows nothing."""

    def stage(self, name: str, total: int) -> None:
        """Shows nothing."""

    def advance(self, steps: int) -> None:
        """Shows nothing."""

    def warn(self, text: str) -> None:
        """Shows nothing."""
