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
    try:
        loader = _Loader(text)
        root = loader.get_node() if loader.check_node() else None
        if loader.check_node():
            raise BadFrontMatter(f"it has more than one document (line {_line(loader.peek_event())})")
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark is not None else ""
        raise BadFrontMatter(f"it is no YAML: {error.problem or error.context}{where}") from error
    except yaml.YAMLError as error:  # characters that YAML does not have
        raise BadFrontMatter(f"it is no YAML: {str(error).splitlines()[0]}") from error
    content = {} if root is None else _value(root)
    if content is not None and not isinstance(content, dict):
        raise BadFrontMatter("it is no mapping of keys to values")
    return content or {}


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


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Composes nodes, unless there are too many, too deep, or of a kind that front matter has no use for."""

    events = levels = 0

    def get_event(self) -> yaml.Event:
        self.events += 1
        if self.events > _MOST_EVENTS:
            raise BadFrontMatter(f"it has more than {_MOST_EVENTS // 2:,} values")
        return super().get_event()

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        event = self.peek_event()
        alias, anchor, tag = isinstance(event, yaml.AliasEvent), event.anchor, getattr(event, "tag", None)
        unused = "an alias" if alias else "an anchor" if anchor else "a tag" if tag else None
        if unused is not None:
            raise BadFrontMatter(f"it uses {unused}, which front matter has no use for (line {_line(event)})")
        self.levels += 1
        if self.levels > _DEEPEST and not isinstance(event, yaml.ScalarEvent):
            raise BadFrontMatter(f"it is nested more than {_DEEPEST} levels deep (line {_line(event)})")
        node: yaml.Node = super().compose_node(parent, index)
        self.levels -= 1
        return node


def _line(place: Any) -> int:
    line: int = place.start_mark.line
    return line + 1


def _value(node: Any) -> Any:
    """Return a node's plain data."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style is not None else _plain(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    made: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BadFrontMatter(f"a key is no text (line {_line(key)})")
        if key.value in made:
            raise BadFrontMatter(f"the key '{key.value[:80]}' comes twice (line {_line(key)})")
        made[key.value] = _value(value)
    return made


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
