"""The zip container that `torch.save` writes since torch 1.6: from a mapped file to the byte range of each record.

Written against a file that lies: nothing is allocated or read by a number the file gives before that number has been
held against the file's size, and only what `torch.save` itself produces is accepted: stored (uncompressed), unencrypted,
uniquely named, non-overlapping records. Layout of the records: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from converter.checkpoint.mapped_file import ByteRange, MappedFile
from converter.errors import UnreadableCheckpoint

MAX_RECORDS = 1_000_000  # a fairseq checkpoint has one per storage: hundreds, thousands with optimizer state
MAX_NAME_BYTES = 1024

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_ZIP64_EXTRA = 0x0001
_UNSET16, _UNSET32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Record:
    """One stored member: where its bytes lie, and the CRC-32 the archive states for them."""

    name: str
    data: ByteRange
    crc32: int


@dataclass(frozen=True)
class _Directory:
    """The central directory: its byte range and number of entries."""

    start: int
    size: int
    entries: int


class ZipArchive:
    """The records of one zip checkpoint, by their name without the leading folder (`data.pkl`, `data/0`, ...)."""

    def __init__(self, file: MappedFile) -> None:
        """Reads the central directory and checks every local header against it.

        Raises:
            UnreadableCheckpoint: if the file is truncated, damaged, or not what `torch.save` writes.
        """
        self.file = file
        records = _read_records(file)
        _refuse_overlaps(file, records)
        self.records = _strip_folder(file, records)

    def __getitem__(self, name: str) -> Record:
        try:
            return self.records[name]
        except KeyError:
            raise _no_record(self.file, name) from None

    def __contains__(self, name: str) -> bool:
        return name in self.records


def check_crc(file: MappedFile, record: Record) -> None:
    """Holds the bytes of `record` against the CRC-32 that the archive states.

    Raises:
        UnreadableCheckpoint: if they differ, that is, if the file was damaged after it was written.
    """
    crc = 0
    for chunk in file.chunks(record.data):
        crc = zlib.crc32(chunk, crc)
    if crc != record.crc32:
        raise UnreadableCheckpoint(
            f"record '{record.name}' is damaged: its CRC-32 is {crc:08x}, the archive says {record.crc32:08x}",
            subject=file.name,
            advice="Copy or download the checkpoint again",
        )


def _no_record(file: MappedFile, name: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(
        f"the archive has no record '{name}'; it is a zip file, but not a torch checkpoint or not a whole one",
        subject=file.name,
        advice="Give the .pt file that fairseq saved",
    )


def _broken(file: MappedFile, what: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(
        what, subject=file.name, advice="The file is truncated or damaged; copy or download it again"
    )


def _unpack(form: struct.Struct, file: MappedFile, offset: int, signature: bytes, what: str) -> tuple[int, ...]:
    """The fields after the signature of the structure at `offset`."""
    if offset < 0 or offset + form.size > file.size:
        raise _broken(file, f"the zip {what} would lie outside the file")
    fields = form.unpack(file.read(offset, form.size))
    if fields[0] != signature:
        raise _broken(file, f"there is no zip {what} where one must be (offset {offset})")
    return fields[1:]


def _find_directory(file: MappedFile) -> _Directory:
    tail_start = max(0, file.size - _END.size - 0xFFFF)
    tail = file.read(tail_start, file.size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise _broken(file, "the file starts like a zip archive but has no end record")
    end_at = tail_start + at
    disk, first_disk, here, entries, size, start, _comment = _unpack(_END, file, end_at, b"PK\x05\x06", "end record")
    # Like every reader of zip64, trust the 64-bit record only where the 32-bit one says that it overflowed; torch
    # writes the 64-bit one always, and then both must agree.
    if end_at >= _END64_LOCATOR.size and file.read(end_at - _END64_LOCATOR.size, 4) == b"PK\x06\x07":
        _, end64_at, _ = _unpack(_END64_LOCATOR, file, end_at - _END64_LOCATOR.size, b"PK\x06\x07", "64-bit locator")
        *_, disk64, first64, here64, entries64, size64, start64 = _unpack(
            _END64, file, end64_at, b"PK\x06\x06", "64-bit end record"
        )
        pairs = (
            (here, here64, _UNSET16),
            (entries, entries64, _UNSET16),
            (size, size64, _UNSET32),
            (start, start64, _UNSET32),
        )
        if any(short not in (wide, unset) for short, wide, unset in pairs):
            raise _broken(file, "the two zip end records contradict each other")
        disk, first_disk, here, entries, size, start = disk64, first64, here64, entries64, size64, start64
    if disk or first_disk or here != entries:
        raise _broken(file, "the zip archive claims to span several disks")
    if entries > MAX_RECORDS or size < entries * _CENTRAL.size or start + size > end_at:
        raise _broken(
            file, f"the zip directory claims {entries} records in {size} bytes at offset {start}, which cannot be"
        )
    return _Directory(start, size, entries)


def _read_records(file: MappedFile) -> list[Record]:
    directory = _find_directory(file)
    raw = file.read(directory.start, directory.size)
    if b"data.pkl" not in raw:
        raise _no_record(file, "data.pkl")
    records: list[Record] = []
    at = 0
    for _ in range(directory.entries):
        if at + _CENTRAL.size > len(raw):
            raise _broken(file, "the zip directory ends inside a record")
        fields = _CENTRAL.unpack_from(raw, at)
        name_len, extra_len, comment_len = fields[10:13]
        body = at + _CENTRAL.size
        at = body + name_len + extra_len + comment_len
        if fields[0] != b"PK\x01\x02" or at > len(raw):
            raise _broken(file, "the zip directory is damaged")
        if name_len > MAX_NAME_BYTES:
            raise _broken(file, f"a zip record has a name of {name_len} bytes")
        name = raw[body : body + name_len].decode("utf-8", "replace")
        extra = raw[body + name_len : body + name_len + extra_len]
        records.append(_check_record(file, directory, name, fields, extra))
    return records


def _check_record(file: MappedFile, directory: _Directory, name: str, fields: tuple[int, ...], extra: bytes) -> Record:
    """Turns one directory entry into a `Record`, or says why it is none that torch would have written."""
    flags, method, crc32, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    offset = fields[16]
    size, packed, offset = _widen(file, name, extra, size, packed, offset)
    if flags & _ENCRYPTED:
        raise _broken(file, f"record '{name}' is encrypted")
    if method != 0 or packed != size:
        raise UnreadableCheckpoint(
            f"record '{name}' is compressed; torch stores records uncompressed, and only those can be mapped",
            subject=file.name,
            advice="Unpack the archive and give the checkpoint inside it",
        )
    local = _unpack(_LOCAL, file, offset, b"PK\x03\x04", f"header of record '{name}'")
    local_method, name_len, extra_len = local[2], local[8], local[9]
    start = offset + _LOCAL.size + name_len + extra_len
    if local_method != 0 or file.read(offset + _LOCAL.size, name_len).decode("utf-8", "replace") != name:
        raise _broken(file, f"the header of record '{name}' contradicts the directory")
    if start + size > directory.start:
        raise _broken(file, f"record '{name}' claims {size} bytes at offset {start}, beyond the records' end")
    return Record(name, ByteRange(start, size), crc32)


def _widen(file: MappedFile, name: str, extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Replaces the 32-bit fields that are all ones by their 64-bit values from the zip64 extra field."""
    wanted = [value == _UNSET32 for value in (size, packed, offset)]
    if not any(wanted):
        return size, packed, offset
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == _ZIP64_EXTRA and length >= 8 * sum(wanted) and at + 4 + length <= len(extra):
            wide = iter(struct.unpack_from(f"<{sum(wanted)}Q", extra, at + 4))
            values = [next(wide) if want else value for want, value in zip(wanted, (size, packed, offset), strict=True)]
            return values[0], values[1], values[2]
        at += 4 + length
    raise _broken(file, f"record '{name}' lacks the 64-bit sizes it refers to")


def _refuse_overlaps(file: MappedFile, records: list[Record]) -> None:
    end, last = 0, ""
    for record in sorted(records, key=lambda r: (r.data.start, r.data.size)):
        if record.data.start < end:
            raise _broken(file, f"records '{last}' and '{record.name}' overlap")
        end, last = record.data.start + record.data.size, record.name


def _strip_folder(file: MappedFile, records: list[Record]) -> dict[str, Record]:
    """Drops the one leading folder torch puts every record into, whatever its name."""
    named: dict[str, Record] = {}
    folders = {record.name.partition("/")[0] for record in records if "/" in record.name}
    if len(folders) > 1:
        raise UnreadableCheckpoint(
            "the zip archive holds several folders; a torch checkpoint has one",
            subject=file.name,
            advice="Unpack the archive and give the checkpoint inside it",
        )
    for record in records:
        short = record.name.partition("/")[2] or record.name
        if short in named:
            raise _broken(file, f"two zip records are called '{record.name}'")
        named[short] = record
    return named
