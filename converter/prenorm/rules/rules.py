"""Rules: mappings as data. Each row says where one tensor family goes, and why.

A rule's names are patterns: `{n}` stands for a layer number, `{p}` for `weight` or `bias`, `{head}` for a head's name,
`{rest}` for the rest of a key. `apply.py` applies rules from source to target, `inversion.py` turns them round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_FIELDS = {"n": r"(?P<n>\d+)", "p": r"(?P<p>weight|bias)", "head": r"(?P<head>[^.]+)", "rest": r"(?P<rest>.+)"}


@dataclass(frozen=True)
class Rename:
    """The tensor goes to `targets` unchanged; to several where the target holds it twice.

    `shape` names its sizes by the fields of a size table (`hidden`, `vocab`, ...), so that a wrong one can be told.
    """

    source: str
    targets: tuple[str, ...]
    shape: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Split:
    """The tensor is cut along dimension 0 into equal parts, one per target, in this order."""

    source: str
    targets: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Drop:
    """The tensor is left out, for this reason.

    Where it holds the same bytes as another source tensor, `same_as` names that one, so that nothing is lost.
    """

    source: str
    reason: str
    same_as: str | None = None


@dataclass(frozen=True)
class Constant:
    """The target has no source: it is filled with `value`, for this reason."""

    target: str
    shape: tuple[str, ...]
    value: float
    reason: str


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    return re.compile("".join(re.escape(part) if i % 2 == 0 else _FIELDS[part] for i, part in enumerate(parts)))


def match(pattern: str, key: str) -> dict[str, str] | None:
    """Hold a key against a pattern.

    Args:
        pattern: a rule's name for a family of tensors.
        key: the whole name of one tensor.

    Returns:
        The fields with which `pattern` becomes `key`, or None.
    """
    matched = _regex(pattern).fullmatch(key)
    return None if matched is None else matched.groupdict()


def expand(pattern: str, layers: int) -> Iterator[dict[str, str]]:
    """List the members of a tensor family.

    Args:
        pattern: a rule's name for the family, with no other fields than `{n}` and `{p}`.
        layers: the model's number of layers.

    Yields:
        dict[str, str]: the fields of a member.
    """
    numbers = [{"n": str(n)} for n in range(layers)] if "{n}" in pattern else [{}]
    for number in numbers:
        for part in [{"p": "weight"}, {"p": "bias"}] if "{p}" in pattern else [{}]:
            yield number | part
