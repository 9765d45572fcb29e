"""Ends that come from outside: a terminated command ends as an interrupted one does, and clears away what it had begun."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType

from prenorm.errors import ExitCode


class Terminated(BaseException):
    """The process was told to end. Like KeyboardInterrupt it is no `Exception`, so that no handler takes it for a fault.

    Attributes:
        exit_code: what the shell expects: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        """Keep the exit code.

        Args:
            number: the signal.
        """
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


class ReaderGone(BaseException):
    """The reader of our output has seen enough, and closed the pipe."""


@contextmanager
def closed_pipe_told() -> Generator[None, None, None]:
    """Raise `ReaderGone` where a pipe is closed; click and rich would end the process with code 1.

    Yields:
        While something may be printed.

    Raises:
        ReaderGone: when a pipe was closed.
    """
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            raise ReaderGone from error
        raise


class RunInterrupted(BaseException):
    """A run was interrupted or terminated; the same command goes on with it.

    Attributes:
        exit_code: what the shell expects.
        jobs: the numbers of Slurm's jobs that go on.
    """

    def __init__(self, exit_code: int, jobs: Sequence[str] = ()) -> None:
        """Keep the fields.

        Args:
            exit_code: what the shell expects.
            jobs: the numbers of Slurm's jobs that go on.
        """
        self.exit_code, self.jobs = exit_code, tuple(jobs)
        super().__init__(exit_code)


@contextmanager
def resumable_run(jobs: Callable[[], Sequence[str]] = tuple) -> Generator[None, None, None]:
    """Tell an interruption of a run from one of any other work.

    Args:
        jobs: returns the numbers of Slurm's jobs that go on.

    Yields:
        None: the block runs.

    Raises:
        RunInterrupted: if the block is interrupted or terminated.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise RunInterrupted(ExitCode.INTERRUPTED, jobs()) from error
    except Terminated as error:
        raise RunInterrupted(error.exit_code, jobs()) from error


class PushInterrupted(BaseException):
    """A push was interrupted or terminated after the folder was proven; the same push can go on.

    Attributes:
        folder: what is being pushed.
        exit_code: what the shell expects.
    """

    def __init__(self, folder: object, exit_code: int) -> None:
        """Keep the fields.

        Args:
            folder: what is being pushed.
            exit_code: what the shell expects.
        """
        self.folder = folder
        self.exit_code = exit_code
        super().__init__(folder)


@contextmanager
def resumable_push(folder: object) -> Generator[None, None, None]:
    """Tell an interruption of a push from one of any other work.

    Args:
        folder: what is being pushed.

    Yields:
        None: the block runs.

    Raises:
        PushInterrupted: if the block is interrupted or terminated.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise PushInterrupted(folder, ExitCode.INTERRUPTED) from error
    except Terminated as error:
        raise PushInterrupted(folder, error.exit_code) from error


def raise_on_termination() -> None:
    """Let SIGTERM (batch systems, containers) and SIGHUP (a lost terminal) raise `Terminated` in the main thread.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    raise Terminated(number)
