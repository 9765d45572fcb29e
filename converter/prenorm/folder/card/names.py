"""Names that a published folder may repeat, and what stands in the place of the others.

The names of classification heads, and with them the keys of tensors, are arguments of the training run: any text. A folder
tells them only where they are plain words; a path, a mail address or a token would not stay with its owner otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, structs

from prenorm.reports.model import Report
from prenorm.source.layouts import HEADS

_LONGEST = 40
_WORDS = re.compile(r"[A-Za-z0-9]+(?:[_-]+[A-Za-z0-9]+)*_?|_[A-Za-z0-9_]+", re.ASCII)
# What tokens of the usual services start with, and what all of them have: a long run of letters and digits mixed.
_TOKEN_PREFIX = re.compile(
    r"(hf|api|gh[opsur]|github_pat|glpat|pypi|npm|sk|xox[a-z]|AKIA|ASIA|eyJ|AIza)[_-]?", re.ASCII
)
_LONG_RUN = re.compile(r"[A-Za-z0-9]{12,}", re.ASCII)
_OF_A_HEAD = re.compile(re.escape(HEADS) + r"(.+)\.(?:dense|out_proj)\.[a-z_]+", re.DOTALL)


def is_plain(name: str) -> bool:
    """Return whether a name is made of words as programmers name things, and looks like no secret.

    Args:
        name: any text.

    Returns:
        True if a folder may tell it.
    """
    if len(name) > _LONGEST or not _WORDS.fullmatch(name):
        return False
    prefix = _TOKEN_PREFIX.match(name)
    if prefix is not None and re.search(r"[A-Za-z0-9]{8,}", name[prefix.end() :]) and re.search(r"\d", name):
        return False
    return not any(_is_mixed(run) for run in _LONG_RUN.findall(name))


def _is_mixed(run: str) -> bool:
    return bool(re.search(r"\d", run) and re.search(r"[A-Za-z]", run))


@dataclass(frozen=True)
class PublicNames:
    """For every name that is not told, what is told in its place."""

    hidden: Mapping[str, str]

    @classmethod
    def of_keys(cls, keys: Iterable[str]) -> PublicNames:
        """Decide which names to withhold: heads' names as a whole, else what stands between two dots.

        Args:
            keys: the names of the checkpoint's tensors.

        Returns:
            The names that are not told, with what is told in their place.
        """
        hidden: dict[str, str] = {}
        for key in keys:
            head = _OF_A_HEAD.search(key)
            if head is not None and not is_plain(head[1]):
                hidden.setdefault(head[1], f"unnamed-{len(hidden) + 1}")
            rest = key if head is None else key[: head.start(1)]
            for part in rest.split("."):
                if part and not is_plain(part):
                    hidden.setdefault(part, f"unnamed-{len(hidden) + 1}")
        # The longest first: one name may hold another.
        return cls(dict(sorted(hidden.items(), key=lambda item: -len(item[0]))))

    def head(self, name: str) -> str:
        """Return a head's name as a folder may tell it.

        Args:
            name: the head's name.

        Returns:
            The name, or what stands in its place.
        """
        return self.hidden.get(name, name)

    def tells(self, name: str) -> bool:
        """Return whether a name is told as it is.

        Args:
            name: a name out of the checkpoint.

        Returns:
            False if it is withheld.
        """
        return name not in self.hidden

    def in_report(self, report: Report) -> Report:
        """Withhold the hidden names in every text of a report.

        Args:
            report: the report of a proof.

        Returns:
            The report as it may be published.
        """
        changed: Report = _changed(report, self.in_text) if self.hidden else report
        return changed

    def in_text(self, text: str) -> str:
        """Withhold the hidden names in a text.

        Args:
            text: a name, or a sentence that may hold one.

        Returns:
            The text as it may be published.
        """
        if text in self.hidden:
            return self.hidden[text]
        for name, alias in self.hidden.items():
            # A short one is looked for between dots alone: elsewhere it might be part of a word.
            pattern = re.escape(name) if len(name) > 3 else rf"(?<=\.){re.escape(name)}(?=\.|$)"
            text = re.sub(pattern, alias, text)
        return text


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Return data with every text changed, the keys of free-form tables included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Struct):
        fields = {name: _changed(getattr(value, name), change) for name in value.__struct_fields__}
        return structs.replace(value, **fields)
    if isinstance(value, Mapping):
        return {change(key): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_changed(item, change) for item in value)
    return value
