"""The commands that make the folder again and verify it, with names of files and no paths."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prenorm.options import ConvertOptions, SourceOptions, StrPath, flag_of, option_fields, option_of

GOLDEN = "golden.npz"
_LINE = 40  # characters that a phone shows of a block of code
# What `verify` cannot find out by itself of how the checkpoint was understood.
_FOR_VERIFY = (
    "dictionary",
    "sentencepiece",
    "label_dict",
    "head",
    "weights",
    "activation",
    "attention_heads",
    "exhaustive",
)
_HOMES = ("home", "Users")  # where the folders are called as the users


@dataclass(frozen=True)
class CardCommands:
    """What the card tells a reader to type, and what the model is called there.

    Attributes:
        convert: makes the folder again.
        verify: compares it with the checkpoint again; it ends in where the folder is.
        record: makes a golden file of the checkpoint, to verify by without it.
        name: the model's; None if the folder's name would tell whose it is.
    """

    convert: str
    verify: str
    record: str
    name: str | None


def card_commands(checkpoint: StrPath, options: ConvertOptions, *, tells: Callable[[str], bool]) -> CardCommands:
    """Return the commands that make and verify a folder, for a POSIX shell.

    Args:
        checkpoint: its path, or its address on the Hub, which is shown as it is.
        options: the conversion's options; those at their defaults are left out.
        tells: whether a name out of the checkpoint may be shown.

    Returns:
        The commands, with names of files and no paths.
    """
    output = Path(options.output or "")
    file, made = " ".join(_word("checkpoint", checkpoint)), " ".join(_word("output", output))
    texts = dict(_options(options, tells))
    of_source = {item.name for item in option_fields(SourceOptions)}
    needed = [text for name, text in texts.items() if name in _FOR_VERIFY]
    return CardCommands(
        _lines(["prenorm convert", file, made, *texts.values()]),
        _lines(["prenorm verify", file, *needed]) + place_line(options.repo_id),
        _lines(["prenorm record", file, GOLDEN, *(text for name, text in texts.items() if name in of_source)]),
        options.repo_id.rpartition("/")[2] if options.repo_id else None if _is_personal(output) else output.name,
    )


def place_line(repo_id: str | None) -> str:
    """Return how a command to verify ends. A repo has a line of its own, so that its name changes nothing before it.

    Args:
        repo_id: where the folder is on the Hub; None for the folder itself.

    Returns:
        The end, with the space in front of it.
    """
    return " ." if repo_id is None else f" \\\n    {repo_id}"


def _options(options: ConvertOptions, tells: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Yield the name of each option that is not at its default, and how it is given."""
    for item in option_fields(type(options)):
        value = getattr(options, item.name)
        if value == item.default or not option_of(item).on_card:
            continue
        words: list[str] = []
        for one in value if isinstance(value, tuple) else (value,):
            hidden = item.name == "head" and not tells(str(one))
            words += (
                [flag_of(item)] if one is True else [flag_of(item), *(["HEAD"] if hidden else _word(item.name, one))]
            )
        yield item.name, " ".join(words)


def _lines(words: list[str]) -> str:
    """Join words to lines that fit a narrow screen, as far as the words do."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < _LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return " \\\n    ".join(lines)


def _word(name: str, value: object) -> Iterator[str]:
    if not isinstance(value, Path):
        yield quoted(str(value))
    else:
        yield name.upper() if _is_personal(value) else quoted(value.name)


def _is_personal(path: Path) -> bool:
    """Return whether a path has no name, or one that can be the name of whose it is."""
    return path.name in ("", "..", *_of_this_machine()) or path.absolute().parent.name in _HOMES


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
