"""The zip container that `torch.save` writes since torch 1.6: from a mapped file to the byte range of each record.

Written against a file that lies: nothing is allocated or read by a number the file gives before that number has been
held against the file's size, and only what `torch.save` itself produces is accepted: stored (uncompressed), unencrypted,
uniquely named, non-overlapping records. Layout of the records: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from functools import partial

from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.container.ranged_file import RangedFile
from prenorm.checkpoint.container.zip_directory import CENTRAL, UNSET32, Directory, broken, find_directory, unpack
from prenorm.checkpoint.limits import MAX_RECORD_NAME_BYTES
from prenorm.errors import GIVE_SAVED, UnreadableCheckpoint
from prenorm.options.spoken import spoken

_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_BEHIND = 0x8  # the local header leaves CRC and sizes 0; torch writes it so
_MAX_DESCRIPTOR = 24  # CRC and sizes once more, behind the bytes
_ZIP64_EXTRA = 0x0001
_DESCRIPTORS = (16, 24, 0)  # bytes of a descriptor: with sizes of 32 bits, of 64, and none
_ALIGNMENT = 64  # of a record's bytes (PyTorchStreamWriter's kFieldAlignment); sizes of descriptors differ by less
_MAX_EXTRA = 0xFFFF
_TAIL = 192 << 10  # that is fetched at once of a file on the Hub: a directory takes some 90 bytes for each record
# What torch calls a record: `archive/data.pkl`, `archive/data/0`, `archive/.data/serialization_id`. The archive's name is
# the file's, so it can hold any letter. Nothing is ever unpacked under such a name; but a name with a path in it, or with
# what a terminal acts on, is no checkpoint's.
_NAME = re.compile(r"(?!\.{1,2}/)[^/\\]+(/(?!\.{1,2}(/|$))[^/\\\ufffd]+)*")


@dataclass(frozen=True)
class Record:
    """One stored member: where its header and its bytes lie, and the CRC-32 the archive states for the bytes."""

    name: str
    header: int
    data: ByteRange
    crc32: int


@dataclass(frozen=True)
class Entry:
    """What the directory says of one stored member."""

    name: str
    raw_name: bytes
    header: int
    size: int
    crc32: int


class ZipArchive:
    """The records of one zip checkpoint, by their name without the leading folder (`data.pkl`, `data/0`, ...)."""

    def __init__(self, file: MappedFile) -> None:
        """Read the central directory and check every local header against it.

        Args:
            file: the mapped file.

        Raises:
            UnreadableCheckpoint: if the file is truncated, damaged, or not what `torch.save` writes.
        """
        self.file = file
        file.fetch([ByteRange(max(file.size - _TAIL, 0), min(file.size, _TAIL))])
        directory = find_directory(file)
        entries = _read_entries(file, directory)
        if isinstance(file, RangedFile):
            records = _expected(file, directory, entries)
        else:
            records = [_located(file, directory, entry) for entry in entries]
        _refuse_overlaps_and_gaps(file, directory, records)
        if isinstance(file, RangedFile):
            _guard(file, directory, entries, records)
        self.records = _strip_folder(file, records)

    def __getitem__(self, name: str) -> Record:
        try:
            return self.records[name]
        except KeyError:
            raise _no_record(self.file, name) from None

    def __contains__(self, name: str) -> bool:
        return name in self.records


def check_crc(file: MappedFile, record: Record) -> None:
    """Hold the bytes of a record against the CRC-32 that the archive states.

    Args:
        file: the archive.
        record: one of its records.

    Raises:
        UnreadableCheckpoint: if they differ, that is, if the file was damaged after it was written.
    """
    crc = 0
    for chunk in file.chunks(record.data):
        crc = zlib.crc32(chunk, crc)
    if crc != record.crc32:
        file.distrust()
        raise UnreadableCheckpoint(
            f"record '{record.name}' is damaged: its CRC-32 is {crc:08x}, the archive says {record.crc32:08x}",
            subject=file.name,
            advice="Copy or download the checkpoint again",
        )


def _no_record(file: MappedFile, name: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(
        f"the archive has no record '{name}'; it is a zip file, but not a torch checkpoint or not a whole one",
        subject=file.name,
        advice=GIVE_SAVED,
    )


def _read_entries(file: MappedFile, directory: Directory) -> list[Entry]:
    raw = file.read(directory.start, directory.size)
    if b"data.pkl" not in raw:
        raise _no_record(file, "data.pkl")
    entries: list[Entry] = []
    at = 0
    for _ in range(directory.entries):
        if at + CENTRAL.size > len(raw):
            raise broken(file, "the zip directory ends inside a record")
        fields = CENTRAL.unpack_from(raw, at)
        name_len, extra_len, comment_len = fields[10:13]
        body = at + CENTRAL.size
        at = body + name_len + extra_len + comment_len
        if fields[0] != b"PK\x01\x02" or at > len(raw):
            raise broken(file, "the zip directory is damaged")
        if name_len > MAX_RECORD_NAME_BYTES:
            raise broken(file, f"a zip record has a name of {name_len} bytes")
        name = raw[body : body + name_len]
        extra = raw[body + name_len : body + name_len + extra_len]
        entries.append(_check_entry(file, name, fields, extra))
    if at != len(raw):
        raise broken(file, f"the zip directory holds more than the {directory.entries} records it claims")
    return entries


def _check_entry(file: MappedFile, raw_name: bytes, fields: tuple[int, ...], extra: bytes) -> Entry:
    """Read one directory entry, or say why it is none that torch would have written."""
    name = raw_name.decode("utf-8", "replace")
    flags, method, crc32, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    size, packed, offset = _widen(file, name, extra, size, packed, fields[16])
    if not name.isprintable() or not _NAME.fullmatch(name.removesuffix("/") if size == 0 else name):
        raise broken(file, f"record '{name}' has a name that torch does not write")
    if flags & _ENCRYPTED:
        raise broken(file, f"record '{name}' is encrypted")
    if method != 0 or packed != size:
        raise UnreadableCheckpoint(
            f"record '{name}' is compressed; torch stores records uncompressed, and only those can be mapped",
            subject=file.name,
            advice="Unpack the archive and give the checkpoint inside it",
        )
    return Entry(name, raw_name, offset, size, crc32)


def _located(file: MappedFile, directory: Directory, entry: Entry) -> Record:
    """Read the header in front of a record, which says where its bytes begin, and hold it against the directory."""
    name, offset, size = entry.name, entry.header, entry.size
    _, local_flags, local_method, _, _, *local, name_len, extra_len = unpack(
        _LOCAL, file, offset, b"PK\x03\x04", f"header of record '{name}'"
    )
    start = offset + _LOCAL.size + name_len + extra_len
    if start + size > directory.start:
        raise broken(file, f"record '{name}' claims {size} bytes at offset {start}, beyond the records' end")
    # Readers that go by the headers, not by the directory, must see the same records.
    unknown = 0 if local_flags & _SIZES_BEHIND else None
    if (
        local_method != 0
        or local_flags & _ENCRYPTED
        or name_len != len(entry.raw_name)
        or file.read(offset + _LOCAL.size, name_len) != entry.raw_name
        or local[0] not in (entry.crc32, unknown)
        or any(value not in (size, unknown, UNSET32) for value in local[1:])
    ):
        raise broken(file, f"the header of record '{name}' contradicts the directory")
    return Record(name, offset, ByteRange(start, size), entry.crc32)


def _expected(file: RangedFile, directory: Directory, entries: list[Entry]) -> list[Record]:
    """Compute where the bytes of records begin, without reading the headers between them; those it cannot, it reads.

    torch begins every record at a multiple of 64 bytes, and writes behind it a descriptor of a size that fits only one
    such place before the next header.

    Args:
        file: the archive.
        directory: where its directory is.
        entries: what that says of the records.

    Returns:
        The records, whose headers nothing has been compared with.
    """
    ordered = sorted(entries, key=lambda entry: entry.header)
    following = [*(entry.header for entry in ordered[1:]), directory.start]
    starts = [_start(entry, end) for entry, end in zip(ordered, following, strict=True)]
    unknown = [entry for entry, start in zip(ordered, starts, strict=True) if start is None]
    file.fetch(ByteRange(entry.header, _LOCAL.size + len(entry.raw_name)) for entry in unknown)
    return [
        _located(file, directory, entry)
        if start is None
        else Record(entry.name, entry.header, ByteRange(start, entry.size), entry.crc32)
        for entry, start in zip(ordered, starts, strict=True)
    ]


def _start(entry: Entry, end: int) -> int | None:
    """Return where a record's bytes must begin, if the next header is at `end`; None if there is not one such place."""
    earliest = entry.header + _LOCAL.size + len(entry.raw_name)
    starts = [end - descriptor - entry.size for descriptor in _DESCRIPTORS]
    fitting = [start for start in starts if start % _ALIGNMENT == 0 and earliest <= start <= earliest + _MAX_EXTRA]
    return fitting[0] if len(fitting) == 1 else None


def _guard(file: RangedFile, directory: Directory, entries: list[Entry], records: list[Record]) -> None:
    """Have each record's header read before its bytes are used."""
    by_header = {record.header: record for record in records}

    def check(entry: Entry, record: Record) -> None:
        if _located(file, directory, entry).data != record.data:
            raise UnreadableCheckpoint(
                f"record '{entry.name}' does not begin where torch lets records begin",
                subject=file.name,
                advice=f"Read the file as a whole: {spoken('whole')}",
            )

    for entry in entries:
        record = by_header[entry.header]
        preamble = ByteRange(record.header, record.data.start - record.header)
        file.guard(record.data, preamble, partial(check, entry, record), entry.crc32)


def _widen(file: MappedFile, name: str, extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Replace the 32-bit fields that are all ones by their 64-bit values from the zip64 extra field."""
    wanted = [value == UNSET32 for value in (size, packed, offset)]
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
    raise broken(file, f"record '{name}' lacks the 64-bit sizes it refers to")


def _refuse_overlaps_and_gaps(file: MappedFile, directory: Directory, records: list[Record]) -> None:
    """Refuse records that do not follow one another from the start to the directory: nothing may hide between them."""
    end, last = 0, "the start"
    places = [(record.header, record.data.end, f"record '{record.name}'") for record in records]
    for header, data_end, name in [*sorted(places), (directory.start, directory.start, "the directory")]:
        if header < end:
            raise broken(file, f"{last} and {name} overlap")
        if header - end > _MAX_DESCRIPTOR:
            raise broken(file, f"{header - end} bytes between {last} and {name} belong to no record")
        end, last = data_end, name


def _strip_folder(file: MappedFile, records: list[Record]) -> dict[str, Record]:
    """Drop the one leading folder that torch puts every record into, whatever its name.

    Names that differ in case only are refused too: torch's own reader takes them for one.

    Args:
        file: the archive, for messages.
        records: its records.

    Returns:
        The records by what is left of their names.

    Raises:
        UnreadableCheckpoint: if there are several folders, or two records of one name.
    """
    named: dict[str, Record] = {}
    taken: set[str] = set()
    folders = {record.name.partition("/")[0] for record in records if "/" in record.name}
    if len(folders) > 1:
        raise UnreadableCheckpoint(
            "the zip archive holds several folders; a torch checkpoint has one",
            subject=file.name,
            advice="Unpack the archive and give the checkpoint inside it",
        )
    for record in records:
        short = record.name.partition("/")[2] or record.name
        if short.casefold() in taken:
            raise broken(file, f"two zip records are called '{record.name}'")
        taken.add(short.casefold())
        named[short] = record
    return named
