"""A reader for protocol-buffer messages: the part of the wire format that a sentencepiece model needs.

Source of the format: https://protobuf.dev/programming-guides/encoding. Nothing is executed, and no allocation is sized by a
number in the file that was not compared with the file's own length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10

Value = int | float | bytes


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message in their order.

    Args:
        message: the bytes of a message.

    Yields:
        tuple[int, Value]: the field's number, and its value as int, as float (32 bits) or as bytes.

    Raises:
        ValueError: if the message ends inside a field, or has an unknown wire type.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            value, at = _take(message, at, size)
        elif kind == _FIXED32:
            raw, at = _take(message, at, 4)
            (value,) = struct.unpack("<f", raw)
        elif kind == _FIXED64:
            value, at = _take(message, at, 8)
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        yield number, value


def _take(message: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return a field's bytes, and where it ends."""
    if size > len(message) - at:
        raise ValueError(f"a field of {size} bytes at byte {at}, where {len(message) - at} are left")
    return message[at : at + size], at + size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number that is stored as seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for index, byte in enumerate(message[at : at + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError(f"a number without an end at byte {at}")
