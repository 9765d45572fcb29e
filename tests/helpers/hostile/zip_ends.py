"""Zip archives that lie at their end: in the end records, the 64-bit ones, the comment, the directory they point to."""

from __future__ import annotations

from .payloads import SHELL
from .registry import Sparse, hostile, register
from .writing import (
    Member,
    as_zip,
    end64_record,
    end_record,
    locator,
    members,
    named,
    pickled,
    sound,
    zip_parts,
)

GIGABYTE = 1 << 30
_EVIL = pickled(named({"model": SHELL}))
_SPACE = "zip directory claims"
_UNSET = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def _ended(end: bytes) -> bytes:
    """The sound model's records and directory, with another end."""
    return b"".join(zip_parts(members(sound()))) + end


def _truth() -> tuple[int, int, int]:
    """Number of records, size and start of the sound model's directory."""
    body, directory = zip_parts(members(sound()))
    return len(members(sound())), len(directory), len(body)


@hostile("bytes behind the zip end record")
def comment() -> bytes:
    entries, size, start = _truth()
    return _ended(end_record(entries, size, start, b"a harmless comment"))


@hostile("belong to no record")
def comment_with_another_end() -> bytes:
    """Which directory is the real one? The one in the comment names a hostile pickle."""
    inner_body, inner_directory = zip_parts([Member(b"archive/data.pkl", _EVIL)])
    body, directory = zip_parts(members(sound()))
    at = len(body) + len(directory) + 22
    hidden = Member(b"archive/data.pkl", _EVIL).central_header(at)
    fake = inner_body + hidden + end_record(1, len(hidden), at + len(inner_body))
    assert len(inner_directory) == len(hidden)
    return _ended(end_record(len(members(sound())), len(directory), len(body), fake))


@hostile("bytes behind the zip end record")
def comment_with_an_end_signature() -> bytes:
    entries, size, start = _truth()
    return _ended(end_record(entries, size, start, b"PK\5\6" + bytes(40)))


@hostile("bytes behind the zip end record")
def trailing_bytes() -> bytes:
    return as_zip(sound()) + b"\0" * 100


@hostile("several disks")
def several_disks() -> bytes:
    entries, size, start = _truth()
    return _ended(end_record(entries, size, start, disk=1))


@hostile("neither a zip archive|text file")
def prefixed() -> bytes:
    """A shell script with a checkpoint behind it, as self-extracting archives are made."""
    return b"#!/bin/sh\ntouch executed\nexit\n" + as_zip(sound())


@hostile(_SPACE)
def prefixed_with_the_signature() -> bytes:
    return b"PK\3\4" + b"\0" * 60 + as_zip(sound())


@hostile("neither a zip archive")
def wrong_signature() -> bytes:
    return b"KP" + as_zip(sound())[2:]


@hostile("the zip directory is damaged|no zip directory entry")
def directory_signature() -> bytes:
    body, directory = zip_parts(members(sound()))
    return body + b"PK\1\3" + directory[4:] + end_record(len(members(sound())), len(directory), len(body))


def _zip64(*, entries: int | None = None, size: int | None = None, start: int | None = None, disk: int = 0,
           at: int | None = None, short: tuple[int, int, int] | None = None, between: bytes = b"") -> bytes:  # fmt: skip
    """The sound model with 64-bit end records; what is None is told truthfully."""
    real = _truth()
    told = [truth if lie is None else lie for lie, truth in zip((entries, size, start), real, strict=True)]
    end_at = real[1] + real[2] + len(between)
    wide = end64_record(told[0], told[1], told[2], disk)
    return _ended(between + wide + locator(end_at if at is None else at) + end_record(*(short or real)))


register("zip-ends/zip64-contradicts", lambda: _zip64(start=0), "the two zip end records contradict each other")
register("zip-ends/zip64-entries-2-to-63", lambda: _zip64(entries=1 << 63, short=_UNSET), "several disks|" + _SPACE)
register("zip-ends/zip64-size-2-to-63", lambda: _zip64(size=1 << 63, short=_UNSET), _SPACE)
register("zip-ends/zip64-start-2-to-63", lambda: _zip64(start=1 << 63, short=_UNSET), _SPACE)
register("zip-ends/zip64-disk", lambda: _zip64(disk=3), "several disks")
register(
    "zip-ends/zip64-locator-past-the-end", lambda: _zip64(at=1 << 62), "64-bit end record would lie outside the file"
)
register("zip-ends/zip64-locator-elsewhere", lambda: _zip64(at=0), "no zip 64-bit end record where one must be")
register("zip-ends/zip64-gap", lambda: _zip64(between=b"hidden" * 9), _SPACE)
register("zip-ends/zip64-unset-without-record", lambda: _ended(end_record(*_UNSET)), _SPACE)
register("zip-ends/entries-too-many", lambda: _ended(end_record(65_000, *_truth()[1:])), _SPACE)
register("zip-ends/entries-too-few", lambda: _ended(end_record(3, *_truth()[1:])), "zip directory holds more")
register("zip-ends/directory-too-long", lambda: _ended(end_record(_truth()[0], _truth()[1] + 9, _truth()[2])), _SPACE)
register("zip-ends/directory-elsewhere", lambda: _ended(end_record(_truth()[0], _truth()[1], 40)), _SPACE)


@hostile(_SPACE)
def directory_of_gigabytes() -> Sparse:
    """A directory whose size is no lie: the file really has the gigabytes, in a hole."""
    head = Member(b"archive/data.pkl", _EVIL)
    start = len(zip_parts([head])[0])
    entry = head.central_header(0)
    end = end64_record(1, 3 * GIGABYTE, start) + locator(start + 3 * GIGABYTE) + end_record(1, _UNSET[1], start)
    at = start + 3 * GIGABYTE
    return Sparse(at + len(end), {0: zip_parts([head])[0] + entry, at: end})


@hostile(_SPACE)
def a_million_entries() -> bytes:
    """All the same empty record."""
    body = Member(b"a/data.pkl").local_header()
    directory = Member(b"a/data.pkl").central_header(0) * 300_000
    end_at = len(body) + len(directory)
    end = end64_record(300_000, len(directory), len(body)) + locator(end_at)
    return body + directory + end + end_record(0xFFFF, len(directory), len(body))


@hostile("contradicts the directory")
def many_entries_one_header() -> bytes:
    """Each costs the reader a header to check; the header's name is as long as zip allows."""
    pickle = Member(b"a/data.pkl", local_name=b"n" * 60_000)
    body = pickle.local_header()
    directory = b"".join(Member(f"a/data/{i}".encode()).central_header(0) for i in range(15_000))
    directory = Member(b"a/data.pkl").central_header(0) + directory
    return body + directory + end_record(15_001, len(directory), len(body))
