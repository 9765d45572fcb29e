"""Happenings in one process that another waits for, so that tests of races are ordered by events and not by the clock."""

from __future__ import annotations

import os
import select
from pathlib import Path

from helpers.waiting import PATIENCE


class Event:
    """A named pipe that holds a byte for each time the event has happened and nobody has waited for it yet.

    Both sides make it from the same path. The bytes are kept for as long as one side has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if not Path(path).exists():
            os.mkfifo(path)
        self._handle = os.open(path, os.O_RDWR)  # read and write, so that opening waits for nobody

    def happens(self) -> None:
        """Lets one who waits, or will wait, go on."""
        os.write(self._handle, b"x")

    def wait(self) -> None:
        """Waits until the event has happened."""
        ready, _, _ = select.select([self._handle], [], [], PATIENCE)
        assert ready, f"{Path(self.path).name} has not happened within {PATIENCE:.0f} s"
        os.read(self._handle, 1)

    def close(self) -> None:
        """Forgets what nobody has waited for."""
        os.close(self._handle)
