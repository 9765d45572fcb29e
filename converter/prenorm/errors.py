"""Every way a command can fail, with the exit code it ends in.

Exceptions carry fields, not sentences: `describe` is the one place that turns them into words, and `exit_code` the
one place that says what the shell sees. The codes are part of the command line's contract
(docs/command_line.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


# What each means, for the help.
EXIT_CODES = {
    ExitCode.DONE: "done and proven",
    ExitCode.PARITY_FAILED: "parity failed, and nothing was written; of a run: not all is done and proven",
    ExitCode.USAGE: "usage: an argument, an option or a file that does not fit",
    ExitCode.NOT_REPRESENTABLE: "the model cannot be represented exactly",
    ExitCode.UNREADABLE: "the checkpoint is unreadable, corrupt, incomplete or unsafe",
    ExitCode.HUB: "Hub or network",
    ExitCode.INTERRUPTED: "interrupted",
}


def kind_of(exit_code: int) -> str:
    """Return the word for what ended a command, as `--json` has it.

    Args:
        exit_code: what the shell sees.

    Returns:
        The exit code's name; another signal's than that of Ctrl-C is `terminated`.
    """
    return ExitCode(exit_code).name.lower() if exit_code in list(ExitCode) else "terminated"


# What to do about a checkpoint, where several places say it.
HARM = "The file is damaged or was made to do harm"
COPY_AGAIN = "The file is truncated or damaged; copy or download it again"
GIVE_SAVED = "Give the .pt file that fairseq saved"
CONTRADICTORY = "Arguments and tensors contradict each other"


class PrenormError(Exception):
    """The root of all errors that a user can cause.

    Attributes:
        exit_code: what a command that fails with it ends in.
        cause: what is wrong.
        subject: the offending file, key or argument.
        advice: what to do about it.
        problems: the single faults, where there are several.
    """

    exit_code = ExitCode.USAGE

    def __init__(
        self, cause: str, *, subject: str | Path | None = None, advice: str = "", problems: Sequence[str] = ()
    ) -> None:
        """Keep the fields.

        Args:
            cause: what is wrong.
            subject: the offending file, key or argument.
            advice: what to do about it.
            problems: the single faults, where there are several.
        """
        self.cause = cause
        self.subject = None if subject is None else str(subject)
        self.advice = advice
        self.problems = tuple(problems)
        super().__init__(cause)

    def __str__(self) -> str:
        """Return the message that the command line shows."""
        return describe(self)


class UsageProblem(PrenormError):
    """The command was called with something it cannot work with: a path, an option, a file that does not fit."""

    exit_code = ExitCode.USAGE


class NotRepresentable(PrenormError):
    """The model is sound, but no Hugging Face architecture computes exactly the same."""

    exit_code = ExitCode.NOT_REPRESENTABLE


class UnreadableCheckpoint(PrenormError):
    """The checkpoint is damaged, incomplete, unsafe, or not a checkpoint at all."""

    exit_code = ExitCode.UNREADABLE


class NotProven(PrenormError):
    """The model does not compute what the checkpoint computes, or is not proven to; nothing was published."""

    exit_code = ExitCode.PARITY_FAILED


class HubProblem(PrenormError):
    """The Hub does not have what is wanted, does not allow it, or does not answer."""

    exit_code = ExitCode.HUB


_CAUSE_CHARACTERS = 1000
_PROBLEM_CHARACTERS = 300
_MOST_PROBLEMS = 100


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return what a misspelt word may mean.

    Args:
        word: what the user wrote.
        names: what it may be.

    Returns:
        The nearest name; None if none is near.
    """
    from difflib import get_close_matches  # no command that is written well waits for it

    return next(iter(get_close_matches(word, names, n=1)), None)


def did_you_mean(name: object) -> str:
    """Return the question whether a name was meant.

    Args:
        name: what may be meant; None: nothing is known.

    Returns:
        One sentence; empty for None.
    """
    return "" if name is None else f"Did you mean {printable(str(name))}?"


def as_fields(error: PrenormError) -> dict[str, object]:
    """Return what an error says, for programs.

    Texts that come from a file can hold anything. Control characters, which would move a terminal's cursor or change its
    colours, are written as escapes; so are line ends, which would make one text look like several messages. Long texts are
    cut in the middle.

    Args:
        error: what went wrong.

    Returns:
        Cause, subject, advice and problems.
    """
    problems = [_shortened(problem, _PROBLEM_CHARACTERS) for problem in error.problems[:_MOST_PROBLEMS]]
    if len(error.problems) > _MOST_PROBLEMS:
        problems.append(f"... and {len(error.problems) - _MOST_PROBLEMS} more")
    return {
        "cause": _shortened(error.cause, _CAUSE_CHARACTERS),
        "subject": None if error.subject is None else printable(error.subject),
        "advice": error.advice,
        "problems": problems,
    }


def describe(error: PrenormError) -> str:
    """Return the message for an error: subject and cause, then the advice, then the single problems on a line each.

    Args:
        error: what went wrong.

    Returns:
        The message.
    """
    cause = _shortened(error.cause, _CAUSE_CHARACTERS)
    if error.subject is not None:
        cause = f"{printable(error.subject)}: {cause}"
    sentence = cause if cause.endswith((".", "!", "?")) else cause + "."
    if error.advice:
        sentence += f" {error.advice}" if error.advice.endswith((".", "!", "?", ":")) else f" {error.advice}."
    problems = as_fields(error)["problems"]
    assert isinstance(problems, list)
    return "\n  ".join([sentence, *problems])


def printable(text: str) -> str:
    """Return the text on one line, with escapes for what a terminal would act on: controls, marks of writing direction.

    Args:
        text: any text.

    Returns:
        The text, in which every character can be seen.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _shortened(text: str, limit: int) -> str:
    """Return the text with its middle cut out, which is where names from a file stand."""
    if len(text) > limit:
        text = f"{text[: limit * 3 // 4]} ... {text[-limit // 4 :]}"
    return printable(text)
