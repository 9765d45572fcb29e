"""The end of a zip archive: where its central directory lies, held against the file and against itself.

An archive can have its end told in several places, and readers differ in which they believe. Only one reading is accepted:
the end record is the last thing in the file, the directory stands right before it (or before the 64-bit end record and its
locator), and all agree. PKWARE APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from prenorm.checkpoint.container.mapped_file import MappedFile
from prenorm.checkpoint.limits import MAX_DIRECTORY_BYTES, MAX_RECORDS
from prenorm.errors import COPY_AGAIN, UnreadableCheckpoint

CENTRAL = struct.Struct("<4s6H3I5H2I")
UNSET16, UNSET32 = 0xFFFF, 0xFFFFFFFF

_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_MAX_COMMENT = 0xFFFF


@dataclass(frozen=True)
class Directory:
    """The central directory: its byte range and number of entries."""

    start: int
    size: int
    entries: int


def broken(file: MappedFile, what: str) -> UnreadableCheckpoint:
    """Make the error for an archive that cannot be right.

    Args:
        file: the archive.
        what: what is wrong with it.

    Returns:
        The error, for the caller to raise.
    """
    return UnreadableCheckpoint(what, subject=file.name, advice=COPY_AGAIN)


def unpack(form: struct.Struct, file: MappedFile, offset: int, signature: bytes, what: str) -> tuple[int, ...]:
    """Read a structure of the archive.

    Args:
        form: its fields, the signature first.
        file: the archive.
        offset: where it begins.
        signature: the four bytes that it must begin with.
        what: what it is, for messages.

    Returns:
        The fields after the signature.

    Raises:
        UnreadableCheckpoint: if it would lie outside the file, or is another structure.
    """
    if offset < 0 or offset + form.size > file.size:
        raise broken(file, f"the zip {what} would lie outside the file")
    fields = form.unpack(file.read(offset, form.size))
    if fields[0] != signature:
        raise broken(file, f"there is no zip {what} where one must be (offset {offset})")
    return fields[1:]


def find_directory(file: MappedFile) -> Directory:
    """Read the end records of an archive.

    Args:
        file: the archive.

    Returns:
        Where its central directory is.

    Raises:
        UnreadableCheckpoint: if there is none, if the records contradict each other, or claim what cannot be.
    """
    at = _end_record(file)
    disk, first_disk, disk_entries, entries, size, start, _ = unpack(_END, file, at, b"PK\x05\x06", "end record")
    # torch writes the 64-bit record always. It counts where the 32-bit one says that it overflowed; elsewhere both must
    # agree.
    if at >= _END64_LOCATOR.size and file.read(at - _END64_LOCATOR.size, 4) == b"PK\x06\x07":
        at -= _END64_LOCATOR.size
        _, end64_at, _ = unpack(_END64_LOCATOR, file, at, b"PK\x06\x07", "64-bit locator")
        *_, disk64, first64, disk_entries64, entries64, size64, start64 = unpack(
            _END64, file, end64_at, b"PK\x06\x06", "64-bit end record"
        )
        pairs = (
            (disk_entries, disk_entries64, UNSET16),
            (entries, entries64, UNSET16),
            (size, size64, UNSET32),
            (start, start64, UNSET32),
        )
        if any(short not in (wide, unset) for short, wide, unset in pairs) or end64_at + _END64.size != at:
            raise broken(file, "the two zip end records contradict each other")
        at = end64_at
        disk, first_disk, disk_entries, entries, size, start = (
            disk64,
            first64,
            disk_entries64,
            entries64,
            size64,
            start64,
        )
    if disk or first_disk or disk_entries != entries:
        raise broken(file, "the zip archive claims to span several disks")
    if entries > MAX_RECORDS or not entries * CENTRAL.size <= size <= MAX_DIRECTORY_BYTES or start + size != at:
        raise broken(
            file, f"the zip directory claims {entries} records in {size} bytes at offset {start}, which cannot be"
        )
    return Directory(start, size, entries)


def _end_record(file: MappedFile) -> int:
    """Find the end record: at the very end, for torch writes no comment behind it."""
    at = file.size - _END.size
    if at >= 0 and file.read(at, 4) == b"PK\x05\x06" and file.read(file.size - 2, 2) == b"\0\0":
        return at
    tail_start = max(0, at - _MAX_COMMENT)
    if b"PK\x05\x06" in file.read(tail_start, file.size - tail_start):
        raise broken(file, "there are bytes behind the zip end record, where torch writes none")
    raise broken(file, "the file starts like a zip archive but has no end record")
