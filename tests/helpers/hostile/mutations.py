"""Real checkpoints, taken apart into places that mean something, and edits that damage them there.

An edit is drawn by hypothesis and applied to bytes; the same edits give the same bytes. `rebuilt` writes the archive anew
around a damaged record, with right sums and offsets, so that the damage gets past the container to the pickle machine.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from .writing import Member, zip_file

# Bytes that mean something to a pickle machine, to zip, or to arithmetic.
TELLING = (
    b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\xff" * 8,
    b".", b"(", b"t", b"R", b"b", b"Q", b"}", b"]", b"u", b"e", b"0", b"2", b"N", b"\x81", b"\x85", b"\x87", b"\x93",
    b"h\0", b"q\0", b"K\0", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"cposix\nsystem\n", b"X\0\0\0\0",
    b"ctorch\nHalfStorage\n", b"ctorch\nDoubleStorage\n", b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7",
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """One damage: what is done, in which kind of place, and numbers that pick the exact one."""

    kind: str
    region: str
    at: int
    length: int
    source: int
    value: bytes


@dataclass(frozen=True)
class Subject:
    """A checkpoint's bytes and the start and end of each piece of them, by the kind of place."""

    name: str
    data: bytes
    regions: dict[str, Sequence[tuple[int, int]]]

    def damaged(self, edits: Sequence[Edit]) -> bytes:
        """The bytes after all edits; each finds its place in the undamaged file."""
        data = bytearray(self.data)
        for edit in edits:
            _apply(edit, self, data)
        return bytes(data)

    def piece(self, region: str, number: int) -> tuple[int, int]:
        """Start and end of one piece of a region."""
        pieces = self.regions.get(region) or self.regions["anywhere"]
        return pieces[number % len(pieces)]


def _apply(edit: Edit, subject: Subject, data: bytearray) -> None:
    start, end = subject.piece(edit.region, edit.at)
    other_start, other_end = subject.piece(edit.region, edit.source)
    other = subject.data[other_start : other_start + max(other_end - other_start, edit.length)][:4096]
    at = start + edit.length % max(end - start, 1)
    if edit.kind == "flip" and at < len(data):
        data[at] ^= 1 << edit.source % 8
    elif edit.kind == "write":
        data[at : at + len(edit.value)] = edit.value
    elif edit.kind == "insert":
        data[start:start] = edit.value
    elif edit.kind == "delete":
        del data[start : end if end - start < 4096 else start + edit.length]
    elif edit.kind == "duplicate":
        data[start:start] = data[start:end][:4096]
    elif edit.kind == "splice":
        data[start:end] = other
    elif edit.kind == "overwrite":
        data[start : start + len(other)] = other
    elif edit.kind == "cut":
        del data[at:]


KINDS = ("flip", "write", "insert", "delete", "duplicate", "splice", "overwrite", "cut")


def edits(regions: Sequence[str]) -> st.SearchStrategy[list[Edit]]:
    """One to four edits in those regions; cutting the file is rare, for it hides the others."""
    numbers = st.integers(0, (1 << 32) - 1)
    one = st.builds(
        Edit, kind=st.sampled_from(KINDS[:-1] * 4 + KINDS[-1:]), region=st.sampled_from(list(regions)), at=numbers,
        length=st.integers(0, 4096), source=numbers, value=st.sampled_from(TELLING) | st.binary(min_size=1, max_size=12),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=4)


# -- taking checkpoints apart


def operations(data: bytes, start: int) -> tuple[list[tuple[int, int]], int]:
    """Start and end of every operation of the pickle at `start`, and where the pickle ends."""
    stream = io.BytesIO(data)
    stream.seek(start)
    starts = [at for _, _, at in pickletools.genops(stream)]
    return list(zip(starts, [*starts[1:], stream.tell()], strict=True)), stream.tell()


@cache
def zip_subject(path: Path) -> Subject:
    """A zip checkpoint: its pickle's operations, its headers, directory entries, end records, storages."""
    data = path.read_bytes()
    regions: dict[str, list[tuple[int, int]]] = {"anywhere": [(at, at + 64) for at in range(0, len(data), 64)]}
    with zipfile.ZipFile(path) as archive:
        entries, directory = archive.infolist(), archive.start_dir
    at = directory
    for entry in entries:
        header = entry.header_offset
        body = header + 30 + int.from_bytes(data[header + 26 : header + 28], "little")
        body += int.from_bytes(data[header + 28 : header + 30], "little")
        regions.setdefault("headers", []).append((header, body))
        if entry.filename.endswith("data.pkl"):
            regions["pickle"] = operations(data, body)[0]
        elif entry.file_size:
            regions.setdefault("storages", []).append((body, body + entry.file_size))
        size = 46 + sum(int.from_bytes(data[at + n : at + n + 2], "little") for n in (28, 30, 32))
        regions.setdefault("directory", []).append((at, at + size))
        at += size
    regions["end"] = [(at, at + 56), (at + 56, at + 76), (at + 76, len(data))]
    return Subject(path.parent.name, data, dict(regions))


@cache
def legacy_subject(path: Path) -> Subject:
    """A legacy stream: the operations of its header, pickle and list of storages, and the storages' blocks."""
    data = path.read_bytes()
    regions: dict[str, list[tuple[int, int]]] = {"anywhere": [(at, at + 64) for at in range(0, len(data), 64)]}
    at = 0
    for part in ("header", "header", "header", "pickle", "keys"):
        found, at = operations(data, at)
        regions.setdefault(part, []).extend(found)
    regions["storages"] = [(start, start + 64) for start in range(at, len(data), 64)]
    regions["counts"] = [(at, at + 8)]
    return Subject(path.stem, data, dict(regions))


@cache
def pickle_subject(path: Path) -> tuple[Subject, tuple[Member, ...]]:
    """The pickle of a zip checkpoint by itself, and the other records."""
    with zipfile.ZipFile(path) as archive:
        found = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in found if name.endswith("data.pkl"))
    data = found.pop(name)
    members = tuple(Member(other.encode(), content) for other, content in found.items())
    regions = {"pickle": operations(data, 0)[0], "anywhere": [(at, at + 64) for at in range(0, len(data), 64)]}
    return Subject(path.parent.name, data, dict(regions)), (Member(name.encode()), *members)


def rebuilt(path: Path, damage: Sequence[Edit]) -> bytes:
    """The archive with a damaged pickle and sound sums, sizes and offsets."""
    subject, (pickle, *others) = pickle_subject(path)
    return zip_file([Member(pickle.name, subject.damaged(damage)), *others])
