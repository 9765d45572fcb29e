"""The entry point of the command `prenorm`: parse, run, and turn every error into one message and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from prenorm.cli.app import prenorm
from prenorm.cli.session import Session
from prenorm.cli.signals import PushInterrupted, ReaderGone, Terminated, raise_on_termination
from prenorm.errors import ExitCode, PrenormError, describe
from prenorm.options.language import Language, speaking

# What ends a command early, with its message and exit code; the first line that fits counts.
_ENDS: tuple[tuple[type[BaseException], Callable[[Any], str], Callable[[Any], int]], ...] = (
    (PrenormError, describe, lambda error: error.exit_code),
    (
        PushInterrupted,
        lambda error: f"interrupted; {error.folder} is untouched, and `prenorm push` finishes the job.",
        lambda error: error.exit_code,
    ),
    (click.Abort, lambda error: "interrupted; OUTPUT is as it was, or complete.", lambda error: ExitCode.INTERRUPTED),
    (Terminated, lambda error: "terminated; OUTPUT is as it was, or complete.", lambda error: error.exit_code),
    (
        OSError,
        lambda error: f"{error.filename}: {_reason(error)}" if error.filename else _reason(error),
        lambda error: ExitCode.USAGE,
    ),
)


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    raise_on_termination()
    _print_what_the_encoding_lacks_as_escapes()
    session = Session()
    try:
        with speaking(Language.COMMAND_LINE):
            code = prenorm(prog_name="prenorm", standalone_mode=False, obj=session) or ExitCode.DONE
        sys.stdout.flush()  # a pipe that is closed is found out here, and not when the interpreter ends
        sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (BrokenPipeError, ReaderGone):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be flushed goes there
        sys.exit(ExitCode.DONE)
    except tuple(kind for kind, _, _ in _ENDS) as error:
        message, code = next((message, code) for kind, message, code in _ENDS if isinstance(error, kind))
        from prenorm.cli.console import print_error

        print_error(message(error), with_traceback=session.debug)
        sys.exit(code(error))


def _print_what_the_encoding_lacks_as_escapes() -> None:
    r"""Let no character end the command: under `PYTHONIOENCODING=ascii` a name prints as `\u2013`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reason(error: OSError) -> str:
    return f"{error.strerror or error}; OUTPUT is as it was, or complete. Free space or choose another folder."
