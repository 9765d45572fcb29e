"""One file of a checkpoint opened: its container recognized, its pickle read, every tensor still in the file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from prenorm.checkpoint.checkpoint import Checkpoint
from prenorm.checkpoint.container.legacy import MAGIC_PREFIX, read_legacy
from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.container.zip import Record, ZipArchive, check_crc
from prenorm.checkpoint.dtypes import ITEM_SIZES
from prenorm.checkpoint.limits import MAX_PICKLE_BYTES
from prenorm.checkpoint.pickle.globals import NamedGlobal, describe_globals
from prenorm.checkpoint.pickle.placeholders import Placeholder
from prenorm.checkpoint.pickle.reader import PickleReader
from prenorm.checkpoint.pickle.rebuild import Rebuilder
from prenorm.checkpoint.pickle.shown import shown
from prenorm.checkpoint.tensors import LazyTensor, Storage
from prenorm.errors import GIVE_SAVED, HARM, UnreadableCheckpoint

Mapped = Callable[[str | Path], MappedFile]

_BYTE_ORDERS = (b"little", b"big")


def open_file(path: str | Path, mapped: Mapped = MappedFile) -> Checkpoint:
    """Open one file of either container, without running anything it carries and without reading its weights.

    Args:
        path: the file.
        mapped: maps it; `RangedFile`, for one that is fetched as it is read.

    Returns:
        The checkpoint; one part of it, where the file is one of several.

    Raises:
        UsageProblem: if `path` is no file.
        UnreadableCheckpoint: if it is no checkpoint, damaged, or made to do harm.
    """
    file = mapped(path)
    try:
        checkpoint = _open(file)
    except UnreadableCheckpoint as error:
        file.distrust()
        error.subject = error.subject or file.name
        raise
    return checkpoint


def _open(file: MappedFile) -> Checkpoint:
    start = file.read(0, min(file.size, 16))
    if start.startswith(b"PK"):
        return _open_zip(file)
    if MAGIC_PREFIX in start:
        machine_globals, content = read_legacy(file)
        return _checkpoint(file, "legacy stream", content, describe_globals(machine_globals), {})
    raise UnreadableCheckpoint(_what_it_seems(file, start), advice=GIVE_SAVED)


def _open_zip(file: MappedFile) -> Checkpoint:
    archive = ZipArchive(file)
    pickled = archive["data.pkl"]
    if pickled.data.size > MAX_PICKLE_BYTES:
        raise UnreadableCheckpoint(f"its pickle has {pickled.data.size} bytes, more than any checkpoint's")
    check_crc(file, pickled)
    _check_byte_order(archive)

    def locate(storage: Storage) -> ByteRange:
        record = archive[f"data/{storage.key}"]
        if record.data.size != storage.numel * ITEM_SIZES[storage.dtype]:
            raise UnreadableCheckpoint(
                f"storage '{storage.key}' claims {storage.numel} elements of {storage.dtype}, but its record has "
                f"{record.data.size} bytes",
                advice=HARM,
            )
        return record.data

    rebuilder = Rebuilder(file, locate)
    machine = PickleReader(file.view(pickled.data), rebuilder.table, rebuilder.persistent)
    content = machine.load()
    records = {record.data: record for name, record in archive.records.items() if name.startswith("data/")}
    return _checkpoint(file, "zip", content, describe_globals(machine.globals), records)


def _check_byte_order(archive: ZipArchive) -> None:
    """Refuse big-endian files: torch says since 2.1 which way round its numbers are; all earlier files are little-endian."""
    if "byteorder" not in archive:
        return
    span = archive["byteorder"].data
    order = archive.file.read(span.start, min(span.size, max(map(len, _BYTE_ORDERS)) + 1))
    if order not in _BYTE_ORDERS:
        raise UnreadableCheckpoint("its byte order is neither 'little' nor 'big'", advice="The file is damaged")
    if order == b"big":
        raise UnreadableCheckpoint(
            "it was saved on a big-endian machine", advice="Save it again on a little-endian one"
        )


def _checkpoint(
    file: MappedFile,
    container: str,
    content: object,
    named_globals: tuple[NamedGlobal, ...],
    records: Mapping[ByteRange, Record],
) -> Checkpoint:
    if not isinstance(content, dict):
        raise UnreadableCheckpoint(
            f"it holds {_kind(content)} where a fairseq checkpoint holds a dictionary with the key 'model'",
            advice=GIVE_SAVED,
        )
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    model = named.get("model")
    for key in model if isinstance(model, dict) else ():
        if not isinstance(key, str):
            raise UnreadableCheckpoint(f"'model' has a key that is no text ({shown(key)})", advice=HARM)
    return Checkpoint(file, container, named, named_globals, records)


def _kind(value: object) -> str:
    if isinstance(value, LazyTensor):
        return "a tensor"
    if isinstance(value, Placeholder):
        return shown(value)
    return f"a value of type {type(value).__name__}"


def _what_it_seems(file: MappedFile, start: bytes) -> str:
    """Say what a file that is no checkpoint looks like."""
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "it is a compressed archive, not a checkpoint; unpack it first"
    if file.size >= 262 and file.read(257, 5) == b"ustar":
        return "it is a tar archive, not a checkpoint; unpack it first"
    if len(start) >= 9 and struct.unpack_from("<Q", start)[0] < file.size and start[8:9] == b"{":
        return "it is a safetensors file; that is what prenorm writes, not what it reads"
    if start[:1] == b"\x80":
        return "it is a pickle, but not one that torch saved"
    if all(byte in b"\t\n\r\x1b" or 32 <= byte < 127 for byte in start):
        return "it is a text file, not a checkpoint"
    return "it is neither a zip archive nor a torch pickle, so it is no checkpoint"
