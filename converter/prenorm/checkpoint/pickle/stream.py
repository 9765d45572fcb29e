"""The bytes of one pickle, read from front to back, and what its text and numbers may cost."""

from __future__ import annotations

import codecs
import re
import struct
from typing import Protocol, overload

from prenorm.checkpoint.limits import MAX_INTEGER_BYTES, MAX_LINE_BYTES, MAX_TEXT_BYTES
from prenorm.errors import UnreadableCheckpoint

_TEXT_INTEGER = re.compile(rb"[+-]?[0-9]{1,150}L?")  # at most as large as a binary one


class Bytes(Protocol):
    """Bytes by position: a view of a file in memory, or of one that is fetched as it is read."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, at: int, /) -> int: ...
    @overload
    def __getitem__(self, at: slice, /) -> memoryview: ...


class PickleStream:
    """The bytes of one pickle, and how far they were read."""

    def __init__(self, data: Bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._text = 0

    def broken(self, what: str) -> UnreadableCheckpoint:
        """Make the error for a stream that cannot be right.

        Args:
            what: what is wrong with it.

        Returns:
            The error, for the caller to raise.
        """
        return UnreadableCheckpoint(
            f"the pickle inside cannot be read: {what} (at byte {self.position})",
            advice="The file is no checkpoint, or it is damaged; copy or download it again",
        )

    def take(self, size: int) -> memoryview:
        """Read bytes of the stream.

        Args:
            size: how many.

        Returns:
            A view of them.

        Raises:
            UnreadableCheckpoint: if the stream ends before.
        """
        start = self.position
        if size < 0 or start + size > len(self.data):
            raise self.broken(f"an operation asks for {size} bytes, more than there are")
        self.position = start + size
        return self.data[start : start + size]

    def number(self, form: struct.Struct) -> int:
        """Read a number in binary form.

        Args:
            form: its size and byte order.

        Returns:
            The number.

        Raises:
            UnreadableCheckpoint: if the stream ends before.
        """
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def line(self) -> bytes:
        """Read the argument of a text operation.

        Returns:
            The bytes up to the end of the line.

        Raises:
            UnreadableCheckpoint: if the line is too long or has no end.
        """
        chunk = bytes(self.data[self.position : self.position + MAX_LINE_BYTES])
        length = chunk.find(b"\n")
        if length < 0:
            raise self.broken("a text operation has no end of line")
        self.position += length + 1
        self.charge_text(length)
        return chunk[:length]

    def text_bytes(self, size: int) -> bytes:
        """Read the bytes of a text, which count against the stream's bound.

        Args:
            size: how many.

        Returns:
            A copy of them.

        Raises:
            UnreadableCheckpoint: if the stream is damaged or exceeds a bound.
        """
        self.charge_text(size)
        return bytes(self.take(size))

    def charge_text(self, size: int) -> None:
        """Count text against what one stream may hold.

        Args:
            size: bytes of the text.

        Raises:
            UnreadableCheckpoint: if it is more than `MAX_TEXT_BYTES` together.
        """
        self._text += max(size, 0)
        if self._text > MAX_TEXT_BYTES:
            raise self.broken(f"it holds more than {MAX_TEXT_BYTES >> 20} MB of text")

    def integer(self, size: int) -> int:
        """Read an integer in binary form of any size.

        Args:
            size: bytes that it takes.

        Returns:
            The integer.

        Raises:
            UnreadableCheckpoint: if it is larger than any in use.
        """
        if size > MAX_INTEGER_BYTES:
            raise self.broken(f"it holds an integer of {size} bytes")
        return int.from_bytes(self.text_bytes(size), "little", signed=True)

    def text_integer(self, raw: bytes) -> int:
        """Read an integer in text form.

        Args:
            raw: its digits.

        Returns:
            The integer.

        Raises:
            UnreadableCheckpoint: if it is none, or too long.
        """
        if _TEXT_INTEGER.fullmatch(raw) is None:
            raise self.broken(f"a text integer of {len(raw)} characters is none, or too long")
        return int(raw.rstrip(b"L"))

    def text_float(self, raw: bytes) -> float:
        """Read a floating-point number in text form.

        Args:
            raw: its characters.

        Returns:
            The number.

        Raises:
            UnreadableCheckpoint: if it is none.
        """
        try:
            return float(raw)
        except ValueError:
            raise self.broken("a text number is none") from None

    def old_string(self, raw: bytes) -> str:
        """Read a string of Python 2's `repr`, quotes and escapes and all.

        Args:
            raw: its characters.

        Returns:
            The text.

        Raises:
            UnreadableCheckpoint: if quotes or escapes are damaged.
        """
        if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in (b"'", b'"'):
            raise self.broken("a text string has no quotes")
        try:
            return codecs.escape_decode(raw[1:-1])[0].decode("utf-8", "replace")
        except ValueError:
            raise self.broken("a text string has a damaged escape") from None
