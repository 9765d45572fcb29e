"""sentencepiece's compiled normalization, written: what the reader of it is tested with."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_VALUE = 1 << 31
_BLOCK = 256


def write_charsmap(rules: Mapping[str, str]) -> bytes:
    """A blob of a few replacements."""
    texts = b""
    tree: dict[int, object] = {}
    for source, target in rules.items():
        node = tree
        for byte in source.encode():
            node = node.setdefault(byte, {})  # type: ignore[assignment]
        node[-1] = len(texts)
        texts += target.encode() + b"\0"
    units = [0] * _BLOCK
    _place(tree, 0, units, taken={0}, bases=set())
    packed = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(packed)) + packed + texts


def _place(node: dict[int, object], at: int, units: list[int], taken: set[int], bases: set[int]) -> None:
    """Finds room for a node's children, where no other node's are, and writes the offset to them into the unit `at`."""
    labels = [max(key, 0) for key in node]
    base = next(
        place
        for place in range(1, 1 << 20)
        if place not in bases and not any((place ^ label) in taken for label in labels)
    )
    bases.add(base)
    while len(units) <= max(base ^ label for label in labels) or len(units) % _BLOCK:
        units.append(0)
    units[at] |= (base ^ at) << 10
    taken |= {base ^ label for label in labels}
    for key, below in node.items():
        place = base ^ max(key, 0)
        if key == -1:
            units[at] |= 1 << 8
            units[place] = int(below) | _VALUE  # type: ignore[call-overload]
        else:
            units[place] |= key
    for key, below in node.items():
        if key != -1:
            _place(below, base ^ key, units, taken, bases)  # type: ignore[arg-type]
