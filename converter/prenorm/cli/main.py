"""The entry point of the command `prenorm`: parse, run, and turn every error into one message and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from prenorm.cli.app import prenorm
from prenorm.cli.misuse import misuse
from prenorm.cli.session import COMPLETION_VARIABLE, Session
from prenorm.cli.signals import (
    PushInterrupted,
    ReaderGone,
    RunInterrupted,
    Terminated,
    closed_pipe_told,
    raise_on_termination,
)
from prenorm.errors import ExitCode, PrenormError, as_fields, describe, kind_of

_FAULT = 1  # as Python's own exit code has it
_AS_IT_WAS = "OUTPUT is as it was, or complete"


def _run_goes_on(jobs: Sequence[str]) -> str:
    """Say what becomes of a run whose command is interrupted."""
    if not jobs:
        return "what is done stays done, and the same command goes on with the rest"
    numbers = " ".join(jobs)
    verb = "job {} goes" if len(jobs) == 1 else "jobs {} go"
    return f"{verb.format(numbers)} on: the same command waits again, and `scancel {numbers}` cancels"


# What ends a command early, as the error that is shown, with its exit code; the first line that fits counts.
_ENDS: tuple[tuple[type[BaseException], Callable[[Any], PrenormError], Callable[[Any], int]], ...] = (
    (PrenormError, lambda error: error, lambda error: error.exit_code),
    (click.ClickException, misuse, lambda error: ExitCode.USAGE),
    (
        PushInterrupted,
        lambda error: PrenormError(f"interrupted; {error.folder} is untouched, and `prenorm push` finishes the job"),
        lambda error: error.exit_code,
    ),
    (
        RunInterrupted,
        lambda error: PrenormError(f"interrupted; {_run_goes_on(error.jobs)}"),
        lambda error: error.exit_code,
    ),
    (click.Abort, lambda error: PrenormError(f"interrupted; {_AS_IT_WAS}"), lambda error: ExitCode.INTERRUPTED),
    (Terminated, lambda error: PrenormError(f"terminated; {_AS_IT_WAS}"), lambda error: error.exit_code),
    (
        OSError,
        lambda error: PrenormError(
            f"{error.strerror or error}; {_AS_IT_WAS}",
            subject=error.filename,
            advice="Free space or choose another folder",
        ),
        lambda error: ExitCode.USAGE,
    ),
)


def main() -> NoReturn:
    """Run the command and end the process with its exit code.

    Returns:
        Never.
    """
    raise_on_termination()
    _print_what_the_encoding_lacks_as_escapes()
    if COMPLETION_VARIABLE in os.environ:
        from prenorm.cli.completion import complete_in_bash

        complete_in_bash()
    session = Session()
    try:
        with closed_pipe_told():
            sys.exit(_run(session))
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be flushed goes there
        sys.exit(ExitCode.DONE)


def _run(session: Session) -> int:
    """Run the command, print what ends it early, and return the exit code."""
    try:
        code = prenorm(prog_name="prenorm", standalone_mode=False, obj=session) or ExitCode.DONE
        sys.stdout.flush()  # a pipe that is closed is found out here, and not when the interpreter ends
    except BrokenPipeError:
        raise
    except (Exception, click.Abort, PushInterrupted, RunInterrupted, Terminated) as raised:
        if isinstance(raised, click.UsageError) and not sys.argv[1:]:
            raised.show()  # the help
            return ExitCode.USAGE
        from prenorm.cli import console

        foreseen = ((problem(raised), code(raised)) for kind, problem, code in _ENDS if isinstance(raised, kind))
        problem, code = next(foreseen, (None, _FAULT))
        kind = "internal" if problem is None else kind_of(code)
        problem = problem or _fault(raised)
        is_parsed = not isinstance(raised, click.ClickException)
        console.print_error(describe(problem), with_traceback=session.debug and is_parsed)
        if (session.as_json or (not is_parsed and _asks_for_json())) and not session.answered:
            console.print_json({"error": {"kind": kind, **as_fields(problem)}, "exit_code": code})
            sys.stdout.flush()
    return int(code)


def _fault(raised: BaseException) -> PrenormError:
    """Return the error for an exception that nothing foresees, without the secrets that its text may hold."""
    from prenorm import __version__
    from prenorm.hub.problems import redacted

    text = redacted(f"{type(raised).__name__}: {raised}")
    return PrenormError(
        f"prenorm {__version__} has a fault ({text}); please report it, with the traceback that --debug shows"
    )


def _asks_for_json() -> bool:
    """Return whether --json is among the words of a command line that could not be parsed, wherever it stands."""
    words = sys.argv[1:]
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def _print_what_the_encoding_lacks_as_escapes() -> None:
    r"""Let no character end the command: under `PYTHONIOENCODING=ascii` a name prints as `\u2013`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
