"""How options and commands are called in sentences: as a shell has them, or as Python has them.

Who typed a command is told "pass --overwrite", and who called `prenorm.convert` is told "pass overwrite=True". The language
is the process's, as its locale is: the command line sets its own when it starts, and Python's holds everywhere else. What
is stored for readers of both kinds (reports, cards) names options as the command line does, whoever makes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from prenorm.options.facts import Kind, flag_of, option_of


class Language(Enum):
    """Whose names sentences use."""

    COMMAND_LINE = "command line"
    PYTHON = "python"


_ANY = object()  # the value of an option that is meant whatever its value
_current = Language.PYTHON


@contextmanager
def speaking(language: Language) -> Generator[None, None, None]:
    """Use the names of a language, in all threads.

    Args:
        language: whose names.

    Yields:
        None: while the sentences are made.
    """
    global _current
    before, _current = _current, language
    try:
        yield
    finally:
        _current = before


def is_python() -> bool:
    """Return whether sentences speak to somebody who calls functions."""
    return _current is Language.PYTHON


def field_name(item: dataclasses.Field[Any], value: object = _ANY) -> str:
    """Return what an option is called, with its value where one is meant.

    Args:
        item: a field of an option group.
        value: the value that is meant; a flag's is always that it is set.

    Returns:
        `--task encoder` or `task="encoder"`, `--overwrite` or `overwrite=True`, `--bpe-dir` or `bpe_dir`.
    """
    is_flag = option_of(item).kind is Kind.FLAG
    if not is_python():
        return flag_of(item) if is_flag or value is _ANY else f"{flag_of(item)} {value}"
    if is_flag:
        return f"{item.name}=True"
    if value is _ANY:
        return item.name
    return f'{item.name}="{value}"' if isinstance(value, str) else f"{item.name}={value}"


def command_name(verb: str) -> str:
    """Return what a command is called.

    Args:
        verb: such as convert.

    Returns:
        `prenorm convert` or `prenorm.convert`.
    """
    return f"prenorm.{verb}" if is_python() else f"prenorm {verb}"
