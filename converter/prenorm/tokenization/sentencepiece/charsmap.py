"""sentencepiece's compiled normalization: a double-array trie of replacements, read into a table and written again.

The blob is the trie's size in bytes (32 bits), the trie's units, and the replacements, each ended by a zero byte. A unit
holds a label in its lowest 8 bits, a flag for "ends here" in bit 8, and an offset above; a value has bit 31 set. Source:
https://github.com/s-yata/darts-clone, which sentencepiece uses.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping

_VALUE = 1 << 31
_MOST_NODES = 4 << 20
_MOST_BYTES = 256  # of a source string
_BLOCK = 256


def read_charsmap(blob: bytes) -> dict[str, str]:
    """Read the replacements. At every place of a text sentencepiece applies the one with the longest source.

    Args:
        blob: the compiled normalization; empty for none.

    Returns:
        Replacement by source string.

    Raises:
        ValueError: if it is damaged.
    """
    if not blob:
        return {}
    if len(blob) < 8:
        raise ValueError("the normalization is cut off")
    (size,) = struct.unpack_from("<I", blob)
    if size % 4 or not 4 <= size <= len(blob) - 4:
        raise ValueError(f"the normalization has a trie of {size} bytes")
    units = struct.unpack_from(f"<{size // 4}I", blob, 4)
    return {
        key.decode("utf-8"): _text_at(blob, 4 + size, value).decode("utf-8") for key, value in _walk(units, _MOST_NODES)
    }


def _text_at(blob: bytes, start: int, offset: int) -> bytes:
    end = blob.find(b"\0", start + offset)
    if end < 0:
        raise ValueError(f"the normalization has no text at {offset}")
    return blob[start + offset : end]


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & (1 << 9)) >> 6)


def _walk(units: tuple[int, ...], left: int) -> list[tuple[bytes, int]]:
    """Return every key with its value.

    The trie may share its tails, so that a small damaged one could be endless: at most `left` nodes are visited.
    """
    children: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for place, unit in enumerate(units):
        if not unit & _VALUE and unit & 0xFF:
            children[place ^ (unit & 0xFF)].append((unit & 0xFF, place))
    pairs = []
    stack = [(b"", _offset(units[0]))]
    while stack:
        key, base = stack.pop()
        left -= 1
        if left < 0 or len(key) > _MOST_BYTES:
            raise ValueError("the normalization's trie has no end")
        for label, place in children.get(base, ()):
            unit, longer = units[place], key + bytes((label,))
            below = place ^ _offset(unit)
            if unit >> 8 & 1:
                if below >= len(units):
                    raise ValueError("the normalization's trie points behind its end")
                pairs.append((longer, units[below] & ~_VALUE))
            stack.append((longer, below))
    return pairs


def write_charsmap(rules: Mapping[str, str]) -> bytes:
    """Compile a few replacements, for `tokenizers`' Precompiled.

    Args:
        rules: replacement by source string.

    Returns:
        What `read_charsmap` reads.
    """
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
    """Find room for a node's children, where no other node's are, and write the offset to them into the unit `at`."""
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
