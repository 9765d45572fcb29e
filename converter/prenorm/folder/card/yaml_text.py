"""Front matter in YAML: read without any of what YAML can do beyond plain data, and written so that it is read as meant.

Of YAML 1.1 and 1.2, which PyYAML and the Hub read, the smaller part counts: `no`, `12:30` and dates are text, as the Hub
reads language codes; anchors, aliases and tags are refused, so that no text unfolds; and whatever could be read as anything
but text is quoted when it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_MOST_EVENTS = 20_000
_DEEPEST = 20
_MAX_INTEGER_DIGITS = 18
_CONSTANTS: Mapping[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(rf"[-+]?[0-9]{{1,{_MAX_INTEGER_DIGITS}}}", re.ASCII)
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
# What every reader takes for text, unquoted, if it is none of the words that PyYAML knows (`no`, `on`, `null`).
_SAFE_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*", re.ASCII)


class BadFrontMatter(ValueError):
    """The text is no front matter. The message says why, with the line if there is one."""


def load(text: str) -> dict[str, object]:
    """Read front matter: text, numbers, true, false, null, lists and mappings.

    Args:
        text: YAML.

    Returns:
        The mapping; empty for an empty text.

    Raises:
        BadFrontMatter: if it is no YAML, no single mapping, names a key twice, uses anchors, aliases or tags, or is too
            deep or too large.
    """
    builder = _Builder()
    try:
        for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            if number > _MOST_EVENTS:
                raise BadFrontMatter(f"it has more than {_MOST_EVENTS // 2:,} values")
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark is not None else ""
        raise BadFrontMatter(f"it is no YAML: {error.problem or error.context}{where}") from error
    except yaml.YAMLError as error:  # characters that YAML does not have
        raise BadFrontMatter(f"it is no YAML: {str(error).splitlines()[0]}") from error
    if builder.result is None:
        return {}
    if not isinstance(builder.result, dict):
        raise BadFrontMatter("it is no mapping of keys to values")
    return builder.result


def dump(data: Mapping[str, object]) -> str:
    """Write front matter in block style, in its order, one line for each piece of text.

    Args:
        data: plain data.

    Returns:
        YAML that ends in a newline.
    """
    text: str = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31, default_flow_style=False
    )
    return text


class _Builder:
    """Plain data from the events of a YAML parser, without recursion."""

    def __init__(self) -> None:
        self.result: object = None
        self._open: list[Any] = []  # lists and mappings
        self._keys: list[str | None] = []  # for each, the key that waits for its value
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise BadFrontMatter(f"it has more than one document (line {line})")
        elif isinstance(event, yaml.AliasEvent):
            raise BadFrontMatter(f"it uses an alias, which front matter has no use for (line {line})")
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, line)

    def _node(self, event: Any, line: int) -> None:
        if event.anchor is not None or event.tag is not None:
            kind = "an anchor" if event.anchor is not None else "a tag"
            raise BadFrontMatter(f"it uses {kind}, which front matter has no use for (line {line})")
        if isinstance(event, yaml.ScalarEvent):
            self._place(event.value if event.style is not None else _plain(event.value), event.value, line)
            return
        made: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._place(made, None, line)
        self._open.append(made)
        self._keys.append(None)
        if len(self._open) > _DEEPEST:
            raise BadFrontMatter(f"it is nested more than {_DEEPEST} levels deep (line {line})")

    def _place(self, value: object, text: str | None, line: int) -> None:
        if not self._open:
            self.result = value
            return
        within, key = self._open[-1], self._keys[-1]
        if isinstance(within, list):
            within.append(value)
        elif key is not None:
            within[key] = value
            self._keys[-1] = None
        elif text is None:
            raise BadFrontMatter(f"a key is no text (line {line})")
        elif text in within:
            raise BadFrontMatter(f"the key '{text[:80]}' comes twice (line {line})")
        else:
            self._keys[-1] = text


def _plain(text: str) -> object:
    """Return what an unquoted scalar means."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes all text but plain words, and indents lists as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _SAFE_PLAIN.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
