"""The container of torch before 1.6: five pickles in a row, then the storages.

magic number, protocol version, system info, the object, the list of storage keys; then per key, in that order, the number
of elements as int64 and the elements. fairseq 0.9-era files have it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import overload

from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.container.ranged_file import RangedFile
from prenorm.checkpoint.dtypes import ITEM_SIZES
from prenorm.checkpoint.limits import MAX_HEADER_OPERATIONS, MAX_PICKLE_BYTES, MAX_STORAGES
from prenorm.checkpoint.pickle.placeholders import GlobalName
from prenorm.checkpoint.pickle.reader import PickleReader
from prenorm.checkpoint.pickle.rebuild import Rebuilder
from prenorm.checkpoint.pickle.shown import shown
from prenorm.checkpoint.tensors import Storage
from prenorm.errors import COPY_AGAIN, HARM, UnreadableCheckpoint

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
MAGIC_PREFIX = MAGIC_NUMBER.to_bytes(10, "little")
PROTOCOL_VERSION = 1001
_OPERATIONS_PER_KEY = 4
_COUNT = struct.Struct("<q")
_AHEAD = 64 << 10  # that is fetched at once of pickles on the Hub; roberta-large's have some 200 KB


@dataclass
class _Places:
    """Where each storage lies. Two readings of the stream fill it: the first one learns which storages there are."""

    spans: dict[str, ByteRange] | None = None

    def locate(self, storage: Storage) -> ByteRange:
        if self.spans is None:
            return ByteRange(0, 0)
        span = self.spans.get(storage.key)
        if span is None:
            raise UnreadableCheckpoint(f"storage '{storage.key}' is not in the file", advice="The file is damaged")
        return span


def read_legacy(file: MappedFile) -> tuple[dict[GlobalName, bool], object]:
    """Read a checkpoint in the container of torch before 1.6.

    The pickle stands before the table that says where its storages are, so it is read twice: once to know the storages,
    once to build the tensors.

    Args:
        file: the mapped file, which starts with the magic number.

    Returns:
        The globals that the pickle names, each with whether it is called, and the object that was saved.

    Raises:
        UnreadableCheckpoint: if the stream is damaged or claims more than the file holds.
    """
    whole = PickledBytes(file) if isinstance(file, RangedFile) else file.view(ByteRange(0, file.size))
    position = _read_preamble(whole)
    places = _Places()
    first = Rebuilder(file, places.locate)
    machine = PickleReader(whole, first.table, first.persistent, position=position)
    machine.load()
    keys_machine = PickleReader(whole, {}, _no_storage, position=machine.position)
    keys = keys_machine.load(_OPERATIONS_PER_KEY * MAX_STORAGES)
    places.spans = _place_storages(file, keys, keys_machine.position, first.storages)
    second = Rebuilder(file, places.locate)
    machine = PickleReader(whole, second.table, second.persistent, position=position)
    return machine.globals, machine.load()


class PickledBytes:
    """The bytes of a file by position, fetched as far as a pickle is read: only at its end it says where that is."""

    def __init__(self, file: RangedFile) -> None:
        self._file = file
        self._there = 0

    def __len__(self) -> int:
        return self._file.size

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> memoryview: ...
    def __getitem__(self, at: int | slice) -> int | memoryview:
        start, end = (at, at + 1) if isinstance(at, int) else (at.start, min(at.stop, self._file.size))
        if end > self._there:
            if end > MAX_PICKLE_BYTES:
                raise UnreadableCheckpoint(f"its pickles have more than {MAX_PICKLE_BYTES} bytes")
            there = min(max(end, self._there + _AHEAD), self._file.size)
            self._file.need(ByteRange(self._there, there - self._there))
            self._there = there
        return self._file.map[at] if isinstance(at, int) else memoryview(self._file.map)[start:end]


def _read_preamble(whole: memoryview | PickledBytes) -> int:
    """Check magic number, protocol and byte order, and return where the object's pickle starts."""
    position = 0
    values: list[object] = []
    for _ in range(3):
        machine = PickleReader(whole, {}, _no_storage, position=position)
        values.append(machine.load(MAX_HEADER_OPERATIONS))
        position = machine.position
        if machine.globals:
            raise UnreadableCheckpoint(f"its header names a class ({shown(next(iter(machine.globals)))})", advice=HARM)
    magic, protocol, system = values
    if magic != MAGIC_NUMBER or protocol != PROTOCOL_VERSION or not isinstance(system, dict):
        raise UnreadableCheckpoint("it starts like a torch file of before 1.6, but its header is none")
    if system.get("little_endian") is not True:
        raise UnreadableCheckpoint(
            "it was saved on a big-endian machine", advice="Save it again on a little-endian one"
        )
    return position


def _place_storages(
    file: MappedFile, keys: object, position: int, storages: dict[str, Storage]
) -> dict[str, ByteRange]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise UnreadableCheckpoint("its list of storages is damaged", advice=COPY_AGAIN)
    spans: dict[str, ByteRange] = {}
    for key in keys:
        storage = storages.get(key)
        if storage is None:
            raise UnreadableCheckpoint(
                f"it lists a storage '{shown(key)}' that no tensor uses", advice="The file is damaged"
            )
        span = ByteRange(position + _COUNT.size, storage.numel * ITEM_SIZES[storage.dtype])
        check = partial(_check_block, file, storage, span)
        if isinstance(file, RangedFile) and span.end <= file.size:
            file.guard(span, ByteRange(position, _COUNT.size), check)
        else:
            check()
        spans[key] = span
        position = span.end
    return spans


def _check_block(file: MappedFile, storage: Storage, span: ByteRange) -> None:
    """Hold what the pickle says of a storage against the number in front of its elements, and the file."""
    position = span.start - _COUNT.size
    count = _COUNT.unpack(file.read(position, _COUNT.size))[0]
    if count != storage.numel or span.end > file.size:
        raise UnreadableCheckpoint(
            f"storage '{storage.key}' claims {storage.numel} elements, its block {count}, and the file ends after "
            f"{file.size - position} bytes",
            advice=COPY_AGAIN,
        )


def _no_storage(pid: object) -> object:
    raise UnreadableCheckpoint("its header refers to a storage", advice=HARM)
