"""Rules: mappings as data. Each row says where one tensor family goes, and why.

A rule's names are patterns: `{n}` stands for a layer number, `{p}` for `weight` or `bias`, `{head}` for a head's name,
`{rest}` for the rest of a key. `mapping.py` applies them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    """The tensor is left out, for this reason."""

    source: str
    reason: str


@dataclass(frozen=True)
class Constant:
    """The target has no source: it is filled with `value`, for this reason."""

    target: str
    shape: tuple[str, ...]
    value: float
    reason: str


@dataclass(frozen=True)
class Join:
    """The tensors of `sources` become one, one after another along dimension 0: a `Split` turned round."""

    sources: tuple[str, ...]
    target: str


def invert(rules: Sequence[Rename | Split | Drop | Constant]) -> list[Rename | Join]:
    """The rules turned round, target to source; what is dropped or constant has no way back."""
    turned: list[Rename | Join] = []
    for rule in rules:
        if isinstance(rule, Rename):
            turned.append(Rename(rule.targets[0], (rule.source,), rule.shape, rule.reason))
        elif isinstance(rule, Split):
            turned.append(Join(rule.targets, rule.source))
    return turned


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    return re.compile("".join(re.escape(part) if i % 2 == 0 else _FIELDS[part] for i, part in enumerate(parts)))


def match(pattern: str, key: str) -> dict[str, str] | None:
    """The fields with which `pattern` becomes `key`, or None."""
    found = _regex(pattern).fullmatch(key)
    return None if found is None else found.groupdict()


def expand(pattern: str, layers: int) -> Iterator[dict[str, str]]:
    """All fields a pattern of `{n}` and `{p}` takes in a model of `layers` layers."""
    numbers = [{"n": str(n)} for n in range(layers)] if "{n}" in pattern else [{}]
    for number in numbers:
        for part in [{"p": "weight"}, {"p": "bias"}] if "{p}" in pattern else [{}]:
            yield number | part
