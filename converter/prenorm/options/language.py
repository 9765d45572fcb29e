"""How options and commands are called in sentences: as a shell has them, or as Python has them.

Who typed a command is told "pass --overwrite", and who called `prenorm.convert` is told "pass overwrite=True". The language
is the process's, as its locale is: the command line sets its own when it starts, and Python's holds everywhere else. What
is stored for readers of both kinds (reports, cards) names options as the command line does, whoever makes it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum


class Language(Enum):
    """Whose names sentences use."""

    COMMAND_LINE = "command line"
    PYTHON = "python"


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
    """Return whether sentences speak to somebody who calls functions.

    Returns:
        True unless the command line has set its own language.
    """
    return _current is Language.PYTHON


def command_name(verb: str) -> str:
    """Return what a command is called.

    Args:
        verb: such as convert.

    Returns:
        `prenorm convert-run` or `prenorm.convert_run`.
    """
    return f"prenorm.{verb.replace('-', '_')}" if is_python() else f"prenorm {verb.replace('_', '-')}"
