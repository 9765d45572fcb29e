"""Every way a command can fail, with the exit code it ends in.

Exceptions carry fields, not sentences: `describe` is the one place that turns them into words, and `exit_code` the
one place that says what the shell sees. The codes are part of the command line's contract (README, "Exit codes").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the shell sees."""

    DONE = 0
    PARITY_FAILED = 1
    USAGE = 2
    NOT_REPRESENTABLE = 3
    UNREADABLE = 4
    HUB = 5


class PrenormError(Exception):
    """Root of all errors that a user can cause. `cause` is what is wrong, `advice` what to do about it.

    `subject` is the offending file, key or argument, and `problems` lists the single faults where there are several.
    """

    exit_code = ExitCode.USAGE

    def __init__(
        self, cause: str, *, subject: str | Path | None = None, advice: str = "", problems: Sequence[str] = ()
    ) -> None:
        self.cause = cause
        self.subject = None if subject is None else str(subject)
        self.advice = advice
        self.problems = tuple(problems)
        super().__init__(cause)

    def __str__(self) -> str:
        return describe(self)


class UsageProblem(PrenormError):
    """The command was given something it cannot work with: a path, an option, a file that does not fit."""

    exit_code = ExitCode.USAGE


class NotRepresentable(PrenormError):
    """The model is sound, but no Hugging Face architecture computes exactly the same."""

    exit_code = ExitCode.NOT_REPRESENTABLE


class UnreadableCheckpoint(PrenormError):
    """The checkpoint is damaged, incomplete, unsafe, or not a checkpoint at all."""

    exit_code = ExitCode.UNREADABLE


class NotProven(PrenormError):
    """The model is not proven to compute what the checkpoint computes; nothing was published."""

    exit_code = ExitCode.PARITY_FAILED


class HubProblem(PrenormError):
    """The Hub does not have what is asked for, does not allow it, or does not answer."""

    exit_code = ExitCode.HUB


def describe(error: PrenormError) -> str:
    """The message for `error`: subject, cause, advice in one sentence each; the single problems below, one a line.

    Whatever came from a file is shown so that it cannot act on a terminal or pass for a line of its own, and cut where it
    is longer than anybody reads.
    """
    cause = _line(error.cause, _CAUSE_CHARACTERS)
    if error.subject is not None:
        cause = f"{printable(error.subject)}: {cause}"
    sentence = cause if cause.endswith((".", "!", "?")) else cause + "."
    if error.advice:
        sentence += f" {error.advice}" if error.advice.endswith((".", "!", "?", ":")) else f" {error.advice}."
    problems = [_line(problem, _PROBLEM_CHARACTERS) for problem in error.problems[:_MOST_PROBLEMS]]
    if len(error.problems) > _MOST_PROBLEMS:
        problems.append(f"... and {len(error.problems) - _MOST_PROBLEMS} more")
    return "\n  ".join([sentence, *problems])


_CAUSE_CHARACTERS = 1000
_PROBLEM_CHARACTERS = 300
_MOST_PROBLEMS = 100


def _line(text: str, limit: int) -> str:
    if len(text) > limit:  # what comes from the file stands in the middle
        text = f"{text[: limit * 3 // 4]} ... {text[-limit // 4 :]}"
    return printable(text)


def printable(text: str) -> str:
    """`text` in one line, with what a terminal would act on (controls, marks of writing direction) spelled out."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
