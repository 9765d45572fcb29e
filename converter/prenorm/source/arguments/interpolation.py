"""References of one configuration value to another, as omegaconf writes them: `${task.tokens_per_sample}`.

Only plain references are read: a path from the root (`${a.b}`, `${a[0]}`) or, since omegaconf 2.1, from the value's own
place (`${.b}` beside it, `${..b}` one container up), alone or within text. What names a resolver (`${oc.env:HOME}`) or
nests (`${a.${b}}`) would have to be computed, and is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from prenorm.source.arguments.foreign import NotPlain

MISSING = "???"  # how omegaconf marks a value that has to be given and was not
_LONGEST = 4096  # characters of a text with references; those of fairseq have some dozens

_KEY = r"[^\\{}()\[\]:.\s'\"]+"
_PATH = rf"(?:{_KEY}|\[{_KEY}\])(?:\.{_KEY}|\[{_KEY}\])*"
_REFERENCE = re.compile(rf"\$\{{\s*(\.*)({_PATH})\s*\}}")


class Interpolation(NamedTuple):
    """`keys` lead to the value: from the root if `up` is 0, else from the container `up` levels above the value."""

    up: int
    keys: tuple[str, ...]


def has_references(text: str) -> bool:
    """Say whether omegaconf would not take a text as it stands.

    Args:
        text: a value of a configuration.

    Returns:
        True if it holds the beginning of a reference.
    """
    return "${" in text


def parse(text: str) -> list[str | Interpolation] | None:
    """Cut a text into its literal parts and references.

    Args:
        text: a value of a configuration.

    Returns:
        The parts in order; None if there is anything else in it.
    """
    if len(text) > _LONGEST:
        return None
    pieces: list[str | Interpolation] = []
    end = 0
    for matched in _REFERENCE.finditer(text):
        pieces.append(text[end : matched.start()])
        pieces.append(Interpolation(len(matched[1]), tuple(re.findall(_KEY, matched[2]))))
        end = matched.end()
    pieces.append(text[end:])
    literals = [piece for piece in pieces if isinstance(piece, str)]
    # A backslash before a reference is an escape in one version of omegaconf and text in another.
    if any("${" in literal for literal in literals) or any(literal.endswith("\\") for literal in literals[:-1]):
        return None
    return [piece for piece in pieces if piece != ""]


def taken_as(node: str, value: object) -> object:
    """Convert the value that a reference gave to the type of its node, as omegaconf does since 2.1.

    Args:
        node: the name of the node's class.
        value: what the reference gave.

    Returns:
        The converted value; `NotPlain` if it does not fit.
    """
    convert = _CONVERSIONS.get(node)
    if convert is None or value is None or isinstance(value, NotPlain):
        return value
    try:
        return convert(value)
    except (ValueError, OverflowError):
        return NotPlain(f"its type does not fit '{str(value)[:40]}', which it refers to")


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        raise ValueError
    return str(value)


def _whole(value: object) -> int:
    if type(value) is int or isinstance(value, str):
        return int(value)
    raise ValueError


def _number(value: object) -> float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError


def _flag(value: object) -> bool:
    if isinstance(value, bool | int):
        return bool(value)
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    return _whole(value) != 0


_WORDS = {"yes": True, "y": True, "on": True, "true": True, "no": False, "n": False, "off": False, "false": False}
_CONVERSIONS: Mapping[str, Callable[[object], object]] = {
    "StringNode": _text,
    "IntegerNode": _whole,
    "FloatNode": _number,
    "BooleanNode": _flag,
}
