"""A terminated run ends as an interrupted one does: what it had begun is cleared away first."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(BaseException):
    """The process was told to end. No `Exception`, like KeyboardInterrupt, so that nothing takes it for a fault.

    `exit_code` is what the shell expects: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


def raise_on_termination() -> None:
    """Lets SIGTERM (batch systems, containers) and SIGHUP (a lost terminal) raise `Terminated` in the main thread.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    raise Terminated(number)
