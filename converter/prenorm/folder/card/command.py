"""The command that makes the folder again, with names of files and no paths."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from prenorm.options import ConvertOptions, StrPath, flag_of, option_fields, option_of

_HOMES = ("home", "Users")  # where the folders are called as the users


def command(checkpoint: StrPath, options: ConvertOptions, *, tells: Callable[[str], bool]) -> str:
    """Return the command that makes the folder again, as one line for a POSIX shell.

    Args:
        checkpoint: its path, or its address on the Hub, which is shown as it is.
        options: the conversion's options; those at their defaults are left out.
        tells: whether a name out of the checkpoint may be shown.

    Returns:
        The command, with names of files and no paths.
    """
    words = ["prenorm", "convert", *_word("checkpoint", checkpoint), "OUTPUT"]
    for item in option_fields(type(options)):
        value = getattr(options, item.name)
        if value == item.default or not option_of(item).on_card:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            hidden = item.name == "head" and not tells(str(one))
            words += (
                [flag_of(item)] if one is True else [flag_of(item), *(["HEAD"] if hidden else _word(item.name, one))]
            )
    return " ".join(words)


def _word(name: str, value: object) -> Iterator[str]:
    if not isinstance(value, Path):
        yield quoted(str(value))
    elif value.name in ("", "..", *_of_this_machine()) or value.absolute().parent.name in _HOMES:
        yield name.upper()  # a folder's name can be the name of whose it is
    else:
        yield quoted(value.name)


def quoted(text: str) -> str:
    """Quote a text as one word of a shell, on one line, with nothing in it that cannot be seen.

    Args:
        text: any text.

    Returns:
        The word.
    """
    if text.isprintable():
        return shlex.quote(text)
    # $'...' of POSIX 2024, with every byte that is not plain ASCII by its number
    return (
        "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"\\'" else f"\\{b:03o}" for b in os.fsencode(text)) + "'"
    )


def _of_this_machine() -> set[str]:
    """Return the names of this machine and its user, by any account."""
    names = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME")}
    names.add(platform.node())
    with suppress(RuntimeError):  # no home folder, no name
        names.add(Path.home().name)
    return names - {""}
