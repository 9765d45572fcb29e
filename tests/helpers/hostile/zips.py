"""Zip archives that lie: sizes, offsets, counts, names, doubles, and cuts at every structural boundary."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

from .payloads import SHELL
from .registry import Sparse, hostile, register
from .writing import (
    Member,
    as_zip,
    end_record,
    members,
    named,
    pickled,
    sound,
    zip_file,
    zip_parts,
)

GIGABYTE = 1 << 30
_EVIL = pickled(named({"model": SHELL}))
_TWICE = "two zip records are called"
_UNSET = 0xFFFFFFFF


def _edited(at: int = 0, **lies: object) -> bytes:
    """The sound model, with lies about one record (0 is the pickle)."""
    found = members(sound())
    found[at] = replace(found[at], **lies)  # type: ignore[arg-type]
    return zip_file(found)


def _with(*more: Member) -> bytes:
    return zip_file([*members(sound()), *more])


# -- cut at every boundary


def _cuts() -> dict[str, int]:
    whole = as_zip(sound())
    body, directory = zip_parts(members(sound()))
    pickle_start = members(sound())[0].local_header()
    return {
        "in-signature": 3,
        "in-local-header": 20,
        "after-local-header": len(pickle_start),
        "in-pickle": 500,
        "in-weights": len(body) - 900,
        "before-directory": len(body),
        "in-directory": len(body) + len(directory) // 2,
        "before-end-record": len(body) + len(directory),
        "in-end-record": len(whole) - 10,
        "last-byte": len(whole) - 1,
    }


for _name, _at in _cuts().items():
    register(f"zips/cut-{_name}", lambda at=_at: as_zip(sound())[:at],  # type: ignore[misc]
             "it is a text file|neither a zip|no end record|behind the zip end|would lie outside")  # fmt: skip


@hostile("CRC-32", late=True)
def weights_of_zeros() -> bytes:
    """As after a crash of the machine that wrote it: the size is right, a block of the weights was never written."""
    whole = bytearray(as_zip(sound()))
    start = zip_parts(members(sound())[:3])[0]
    whole[len(start) - 100 : len(start) - 40] = bytes(60)
    return bytes(whole)


@hostile(r"record 'archive/data.pkl' is damaged: its CRC-32")
def pickle_crc() -> bytes:
    return _edited(crc=1, local_crc=1)


# -- records: sizes, offsets, headers

for _name, _lie, _cause in (
    ("size-unset-without-zip64", {"size": _UNSET}, "lacks the 64-bit sizes"),
    ("offset-unset-without-zip64", {"offset": _UNSET}, "lacks the 64-bit sizes"),
    ("zip64-extra-short", {"size": _UNSET, "extra": struct.pack("<2HI", 1, 4, 1)}, "lacks the 64-bit sizes"),
    ("zip64-extra-cut", {"size": _UNSET, "extra": struct.pack("<2HI", 1, 16, 1)}, "lacks the 64-bit sizes"),
    ("zip64-size-2-to-63", {"size": _UNSET, "extra": struct.pack("<2H2Q", 1, 16, 1 << 63, 1 << 63)}, "beyond|header of"),
    ("zip64-offset-2-to-63", {"offset": _UNSET, "extra": struct.pack("<2HQ", 1, 8, 1 << 63)}, "outside the file"),
    ("size-past-the-end", {"size": 1 << 30}, "beyond the records' end|header of"),
    ("offset-past-the-end", {"offset": 1 << 31}, "would lie outside the file"),
    ("offset-of-another", {"offset": 4000}, "no zip header|contradicts"),
    ("packed-smaller", {"packed": 10}, "is compressed"),
    ("encrypted", {"flags": 1}, "is encrypted"),
    ("strongly-encrypted", {"flags": 0x41}, "is encrypted"),
    ("unknown-method", {"method": 99}, "is compressed"),
    ("local-method", {"local_method": 8}, "contradicts the directory"),
    ("local-name", {"local_name": b"archive/evil.pkl"}, "contradicts the directory"),
    ("local-size", {"local_size": 5}, "contradicts the directory"),
    ("local-crc", {"local_crc": 5}, "contradicts the directory"),
    ("local-flags", {"local_flags": 1}, "contradicts the directory"),
):  # fmt: skip
    register(f"zips/record-{_name}", lambda lie=_lie: _edited(**lie), _cause)  # type: ignore[arg-type, misc]


@hostile("is compressed")
def deflated_pickle() -> bytes:
    squeezed = zlib.compressobj(wbits=-15)
    data = squeezed.compress(bytes(100 << 20)) + squeezed.flush()
    member = Member(b"archive/data.pkl", data, method=8, size=100 << 20, packed=len(data), local_size=len(data))
    return zip_file([member])


@hostile("is compressed")
def deflated_weights() -> bytes:
    """A zip bomb where nobody looks before the weights are needed."""
    squeezed = zlib.compressobj(wbits=-15)
    data = squeezed.compress(bytes(50 << 20)) + squeezed.flush()
    return _with(Member(b"archive/data/bomb", data, method=8, size=1 << 31, packed=len(data), local_size=len(data)))


@hostile("overlap")
def record_inside_another() -> bytes:
    """A hostile pickle under the name of a storage's neighbour, its header inside the storage's own bytes."""
    inner = Member(b"archive/data/hidden", _EVIL)
    outer = Member(b"archive/data/outer", b"x" * 50 + inner.local_header() + inner.data)
    found = [*members(sound()), outer]
    at = len(zip_parts(found)[0]) - len(inner.local_header()) - len(inner.data)
    return zip_file([*found[:-1], outer, replace(inner, offset=at, data=_EVIL)])


@hostile("overlap")
def header_inside_another() -> bytes:
    """Only the header lies in the neighbour's bytes; the data behind it are its own."""
    inner = Member(b"archive/data/hidden", b"y" * 40)
    outer = Member(b"archive/data/outer", b"x" * 9 + inner.local_header())
    found = [*members(sound()), outer]
    body, directory = zip_parts(found)
    body += inner.data
    directory += inner.central_header(len(body) - len(inner.local_header()) - len(inner.data))
    return body + directory + end_record(len(found) + 1, len(directory), len(body))


@hostile("overlap")
def one_record_listed_twice() -> bytes:
    body, directory = zip_parts(members(sound()))
    directory += members(sound())[1].central_header(len(zip_parts(members(sound())[:1])[0]))
    return body + directory + end_record(len(members(sound())) + 1, len(directory), len(body))


@hostile("contradicts the directory")
def one_record_under_two_names() -> bytes:
    body, directory = zip_parts(members(sound()))
    directory += replace(members(sound())[0], name=b"archive/data2.pkl").central_header(0)
    return body + directory + end_record(len(members(sound())) + 1, len(directory), len(body))


@hostile("belong to no record")
def gap_before_the_directory() -> bytes:
    body, directory = zip_parts(members(sound()))
    body += b"hidden " * 9
    return body + directory + end_record(len(members(sound())), len(directory), len(body))


@hostile("belong to no record")
def record_hidden_from_the_directory() -> bytes:
    """Readers that go from header to header see it; those that go by the directory do not."""
    found = [Member(b"archive/data.pkl", _EVIL), *members(sound())]
    body, directory = zip_parts(found)
    directory = directory[len(found[0].central_header(0)) :]
    return body + directory + end_record(len(found) - 1, len(directory), len(body))


# -- names

register("zips/two-pickles", lambda: _with(Member(b"archive/data.pkl", _EVIL)), _TWICE)
register("zips/two-pickles-hostile-first", lambda: zip_file([Member(b"archive/data.pkl", _EVIL), *members(sound())]),
         _TWICE)  # fmt: skip
register("zips/two-storages", lambda: _with(Member(b"archive/data/3", b"\0" * 32)), _TWICE)
register("zips/pickle-in-capitals", lambda: _with(Member(b"archive/DATA.PKL", _EVIL)), _TWICE)
register("zips/storage-in-capitals", lambda: _with(Member(b"ARCHIVE/data/3", b"\0" * 32)), "several folders|" + _TWICE)
register("zips/pickle-at-the-top", lambda: _with(Member(b"data.pkl", _EVIL)), _TWICE)
register("zips/two-folders", lambda: _with(Member(b"other/data.pkl", _EVIL)), "several folders")
for _name, _raw in {
    "parent": b"archive/../../evil",
    "absolute": b"/etc/cron.d/evil",
    "home": b"archive/~/.bashrc\x1b[2J",
    "drive": b"C:\\evil.exe",
    "backslash": b"archive\\data\\0",
    "nul": b"archive/data/0\0.txt",
    "newline": b"archive/data/0\nError: fine",
    "escape": b"archive/\x1b]0;owned\x07",
    "not-utf-8": b"archive/\xff\xfe",
    "right-to-left": "archive/data/\u202e0".encode(),
    "empty": b"",
    "dot": b"archive/./data.pkl",
    "folder": b"archive/data/",  # a folder of one byte
}.items():
    register(f"zips/name-{_name}", lambda raw=_raw: _with(Member(raw, b"x")),  # type: ignore[misc]
             "a name that torch does not write|several folders")  # fmt: skip
register("zips/name-too-long", lambda: _with(Member(b"archive/" + b"n" * 60_000, b"x")), "a name of [0-9]+ bytes")


# -- what the archive holds

register("zips/empty-archive", lambda: end_record(0, 0, 0), "no end record|no record 'data.pkl'")
register("zips/no-pickle", lambda: zip_file(members(sound())[1:]), "no record 'data.pkl'")
register(
    "zips/pickle-only-in-a-name", lambda: zip_file([Member(b"archive/not-data.pkl.txt", b"x")]), "no record 'data.pkl'"
)
register("zips/empty-pickle", lambda: zip_file([Member(b"archive/data.pkl")]), "ends before its end mark")
register("zips/storage-missing", lambda: zip_file(members(sound())[:-3]), "no record 'data/[0-9]+'")
register("zips/checkpoint-in-a-checkpoint", lambda: zip_file([Member(b"archive/data.pkl", as_zip(sound()))]),
         "cannot be read")  # fmt: skip
register("zips/checkpoint-in-a-zip", lambda: zip_file([Member(b"archive/checkpoint_best.pt", as_zip(sound()))]),
         "no record 'data.pkl'")  # fmt: skip
register("zips/big-endian", lambda: _with(Member(b"archive/byteorder", b"big")), "big-endian")
register("zips/byte-order-unknown", lambda: _with(Member(b"archive/byteorder", b"\xff" * 4000)), "byte order")
register(
    "zips/truncated-pickle-with-right-crc", lambda: _edited(data=members(sound())[0].data[:-300]), "cannot be read"
)
register("zips/storage-shorter", lambda: _edited(3, data=b"\0" * 16), "storage '2' claims 8 elements .* has 16 bytes")
register("zips/storage-longer", lambda: _edited(3, data=b"\0" * 99), "storage '2' claims 8 elements .* has 99 bytes")
register("zips/storage-empty", lambda: _edited(3, data=b""), "storage '2' claims 8 elements .* has 0 bytes")


def _hole(name: bytes, size: int, *more: Member) -> Sparse:
    """The sound model, and a record of gigabytes of zeros (in a hole of the file) as the last one."""
    found = [*members(sound()), *more]
    body, directory = zip_parts(found)
    last = Member(name, local_size=size, size=size, crc=0, local_crc=0)
    directory += last.central_header(len(body))
    body += last.local_header()
    end = directory + end_record(len(found) + 1, len(directory), len(body) + size)
    return Sparse(len(body) + size + len(end), {0: body, len(body) + size: end})


register("zips/byte-order-of-gigabytes", lambda: _hole(b"archive/byteorder", 3 * GIGABYTE), "byte order")
register("zips/unused-megabytes", lambda: _hole(b"archive/data/unused", GIGABYTE >> 2), "no tokenizer", code=0)


@hostile("its pickle has [0-9]+ bytes, more than any checkpoint's")
def pickle_of_gigabytes() -> Sparse:
    member = Member(b"archive/data.pkl", size=3 * GIGABYTE, local_size=3 * GIGABYTE)
    body = member.local_header()
    end = member.central_header(0)
    end += end_record(1, len(end), len(body) + 3 * GIGABYTE)
    return Sparse(len(body) + 3 * GIGABYTE + len(end), {0: body, len(body) + 3 * GIGABYTE: end})
