"""The training arguments of a checkpoint, wherever its fairseq put them, as plain values.

`args` is a Namespace (up to 0.10); `cfg["model"]` a Namespace or a dictionary (since 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from converter.checkpoint.pickle_machine import GlobalName, Placeholder

_NAMESPACE = GlobalName("argparse", "Namespace")
_MAX_DEPTH = 32
_MAX_VALUES = 200_000


@dataclass(frozen=True)
class Arguments:
    """`model` holds the model's arguments, `sections` everything the checkpoint records, by section."""

    origin: str
    model: Mapping[str, object] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def find(self, name: str, *sections: str) -> object:
        """The value of `name` in the first of `sections` that records it, then in the model's; None if nowhere."""
        for section in (*sections, "model"):
            values = self.model if section == "model" else self.sections.get(section, {})
            if values.get(name) is not None:
                return values[name]
        return None


def find_arguments(content: Mapping[str, object]) -> Arguments:
    """The arguments of a checkpoint's `content`; empty with the origin 'none' if it records none."""
    config, old = _as_mapping(content.get("cfg")), _as_mapping(content.get("args"))
    plain = _Plain()
    if config is not None:
        sections = {name: plain.mapping(section) for name, value in config.items() if (section := _as_mapping(value))}
        if sections.get("model"):
            kind = "a Namespace" if isinstance(config.get("model"), Placeholder) else "a dictionary"
            return Arguments(f"cfg['model'], {kind}", sections["model"], sections)
    if old is not None:
        return Arguments("args, a Namespace", plain.mapping(old))
    return Arguments("none")


def _as_mapping(value: object) -> Mapping[str, object] | None:
    """The entries of a dictionary or Namespace whose keys are text."""
    if isinstance(value, Placeholder) and value.name == _NAMESPACE:
        value = value.state
    return {key: item for key, item in value.items() if isinstance(key, str)} if isinstance(value, dict) else None


class _Plain:
    """Turns unpickled values into plain ones; bounded, because a stream can nest and repeat at no cost to itself."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def mapping(self, values: Mapping[str, object]) -> dict[str, object]:
        return {key: self.value(item) for key, item in values.items()}

    def value(self, item: object, depth: int = 0) -> object:
        """`item` as None, bool, number, text, list or dictionary; anything else as None."""
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            return None
        if item is None or isinstance(item, bool | int | float | str):
            return item
        if isinstance(item, list | tuple):
            return [self.value(part, depth + 1) for part in item]
        entries = _as_mapping(item)
        return None if entries is None else {key: self.value(part, depth + 1) for key, part in entries.items()}
