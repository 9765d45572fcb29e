"""Writing checkpoints byte by byte, so that every byte can lie: pickle operations, and the two containers around them.

Nothing here uses `pickle` or `torch.save`, which write no lies; the bytes are the same on every machine and in every run.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# -- pickle operations (Python's `pickletools` documents them), each as the bytes of one value

NONE, TRUE, FALSE, MARK, STOP, REDUCE, BUILD, POP = b"N", b"\x88", b"\x89", b"(", b".", b"R", b"b", b"0"


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(raw)) + raw


def real(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def raw_bytes(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def tuple_of(*items: bytes) -> bytes:
    return MARK + b"".join(items) + b"t"


def list_of(*items: bytes) -> bytes:
    return b"]" + MARK + b"".join(items) + b"e"


def mapping(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"}" + MARK + b"".join(key + value for key, value in pairs) + b"u"


def named(values: Mapping[str, bytes]) -> bytes:
    """A dictionary with text for keys."""
    return mapping((text(key), value) for key, value in values.items())


def global_name(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call(function: bytes, *args: bytes) -> bytes:
    return function + tuple_of(*args) + REDUCE


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def numbers(values: Iterable[int]) -> bytes:
    return tuple_of(*map(number, values))


# The sixth part of a legacy reference to a storage, what it is a view of: in a zip there is none, so it is dropped again.
NO_VIEW = NONE + POP


def reference(*parts: bytes) -> bytes:
    return tuple_of(*parts, NO_VIEW) + b"Q"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    return reference(text("storage"), global_name("torch", kind), text(key), text("cpu"), number(count))


ORDERED_DICT = global_name("collections", "OrderedDict") + b")R"
REBUILD = global_name("torch._utils", "_rebuild_tensor_v2")


def tensor(place: bytes, shape: bytes, stride: bytes, offset: bytes = b"K\x00") -> bytes:
    return call(REBUILD, place, offset, shape, stride, FALSE, ORDERED_DICT)


def dense(key: str, shape: Sequence[int], kind: str = "FloatStorage") -> bytes:
    """A sound tensor that fills the storage `key`."""
    stride, count = [], 1
    for size in reversed(shape):
        stride.insert(0, count)
        count *= size
    return tensor(storage(key, count, kind), numbers(shape), numbers(stride))


def namespace(values: Mapping[str, bytes]) -> bytes:
    return global_name("argparse", "Namespace") + b")\x81" + named(values) + BUILD


def pickled(value: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + value + STOP


# -- the sound model that hostile things are put into or beside

VOCABULARY, HIDDEN, HEADS, FFN, POSITIONS = 11, 8, 2, 12, 8
ENCODER = "encoder.sentence_encoder."
ARGUMENTS: dict[str, bytes] = {
    "arch": text("roberta_base"),
    "encoder_attention_heads": number(HEADS),
    "activation_fn": text("gelu"),
    "encoder_normalize_before": TRUE,
}


def model_shapes(layers: int = 1) -> dict[str, tuple[int, ...]]:
    """The tensors of a pre-LayerNorm RoBERTa, by fairseq's names."""
    shapes: dict[str, tuple[int, ...]] = {
        ENCODER + "embed_tokens.weight": (VOCABULARY, HIDDEN),
        ENCODER + "embed_positions.weight": (POSITIONS, HIDDEN),
    }
    pairs = {ENCODER + "layernorm_embedding": (HIDDEN,), ENCODER + "layer_norm": (HIDDEN,)}
    for n in range(layers):
        at = f"{ENCODER}layers.{n}."
        pairs |= {f"{at}self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in ("q", "k", "v", "out")}
        pairs |= {at + "self_attn_layer_norm": (HIDDEN,), at + "final_layer_norm": (HIDDEN,)}
        pairs |= {at + "fc1": (FFN, HIDDEN), at + "fc2": (HIDDEN, FFN)}
    pairs |= {"encoder.lm_head.dense": (HIDDEN, HIDDEN), "encoder.lm_head.layer_norm": (HIDDEN,)}
    for name, shape in pairs.items():
        shapes |= {name + ".weight": shape, name + ".bias": shape[:1]}
    shapes["encoder.lm_head.weight"] = (VOCABULARY, HIDDEN)
    shapes["encoder.lm_head.bias"] = (VOCABULARY,)
    return shapes


@dataclass(frozen=True)
class Stream:
    """What a container holds: the value that was pickled, and its storages by key."""

    value: bytes
    storages: Mapping[str, bytes] = field(default_factory=dict)


def floats(count: int, seed: int) -> bytes:
    chance = random.Random(seed)
    return struct.pack(f"<{count}f", *(chance.uniform(-1, 1) for _ in range(count)))


def sound(
    *,
    model: Mapping[str, bytes] | None = None,
    beside: Mapping[str, bytes] | None = None,
    arguments: Mapping[str, bytes] | None = None,
    more: Mapping[str, bytes] | None = None,
    leave_out: str = "",
) -> Stream:
    """A model that converts, with hostile entries put into it (`model`), beside it, or into its arguments.

    `more` are further storages, for the entries; `leave_out` is an entry of the model to be left out.
    """
    entries, storages = dict(model or {}), dict(more or {})
    for index, (key, shape) in enumerate(model_shapes().items()):
        if key not in entries and key != leave_out:
            entries[key] = dense(str(index), shape)
            storages[str(index)] = floats(shape[0] * (shape[1] if len(shape) > 1 else 1), index)
    content = {
        "args": NONE,
        "cfg": named({"model": namespace({**ARGUMENTS, **(arguments or {})})}),
        "model": named(entries),
        **(beside or {}),
    }
    return Stream(named(content), storages)


# -- the zip container


@dataclass
class Member:
    """One record and everything its two headers say of it; what is None is told truthfully."""

    name: bytes
    data: bytes = b""
    flags: int = 0
    method: int = 0
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    offset: int | None = None
    extra: bytes = b""
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    local_size: int | None = None
    local_crc: int | None = None
    local_extra: bytes = b""

    def told(self, value: int | None, truth: int) -> int:
        return truth if value is None else value

    def local_header(self) -> bytes:
        name = self.name if self.local_name is None else self.local_name
        size, crc = self.told(self.local_size, len(self.data)), self.told(self.local_crc, zlib.crc32(self.data))
        flags, method = self.told(self.local_flags, self.flags), self.told(self.local_method, self.method)
        head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 0, crc, size, size, len(name),
                           len(self.local_extra))  # fmt: skip
        return head + name + self.local_extra

    def central_header(self, offset: int) -> bytes:
        size = self.told(self.size, len(self.data))
        packed, crc = self.told(self.packed, size), self.told(self.crc, zlib.crc32(self.data))
        head = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, self.flags, self.method, 0, 0, crc, packed, size,
                           len(self.name), len(self.extra), 0, 0, 0, 0, self.told(self.offset, offset))  # fmt: skip
        return head + self.name + self.extra


def end_record(entries: int, size: int, start: int, comment: bytes = b"", disk: int = 0) -> bytes:
    return struct.pack("<4s4H2IH", b"PK\5\6", disk, disk, entries, entries, size, start, len(comment)) + comment


def end64_record(entries: int, size: int, start: int, disk: int = 0) -> bytes:
    return struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, disk, disk, entries, entries, size, start)


def locator(end64_at: int) -> bytes:
    return struct.pack("<4sIQI", b"PK\6\7", 0, end64_at, 1)


def zip_parts(members: Sequence[Member]) -> tuple[bytes, bytes]:
    """The records, and the directory that belongs behind them."""
    body, directory = bytearray(), bytearray()
    for member in members:
        directory += member.central_header(len(body))
        body += member.local_header() + member.data
    return bytes(body), bytes(directory)


def zip_file(members: Sequence[Member]) -> bytes:
    body, directory = zip_parts(members)
    return body + directory + end_record(len(members), len(directory), len(body))


def members(stream: Stream) -> list[Member]:
    found = [Member(b"archive/data.pkl", pickled(stream.value))]
    found += [Member(f"archive/data/{key}".encode(), data) for key, data in stream.storages.items()]
    return [*found, Member(b"archive/version", b"3\n")]


def as_zip(stream: Stream) -> bytes:
    return zip_file(members(stream))


# -- the legacy container

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": number(1001), "little_endian": TRUE, "type_sizes": named({"short": number(2)})}


def legacy_preamble(system: Mapping[str, bytes] = SYSTEM, magic: int = LEGACY_MAGIC, protocol: int = 1001) -> bytes:
    raw = b"\x8a\x0a" + magic.to_bytes(10, "little")
    return pickled(raw, 2) + pickled(number(protocol), 2) + pickled(named(system), 2)


def legacy_parts(stream: Stream) -> tuple[bytes, bytes, bytes, list[bytes]]:
    """Header, pickle, list of storages, and each storage's block."""
    value = stream.value.replace(NO_VIEW + b"tQ", NONE + b"tQ")
    keys = pickled(list_of(*(text(key) for key in stream.storages)), 2)
    blocks = [struct.pack("<q", len(data) // 4) + data for data in stream.storages.values()]
    return legacy_preamble(), pickled(value), keys, blocks


def as_legacy(stream: Stream) -> bytes:
    preamble, value, keys, blocks = legacy_parts(stream)
    return preamble + value + keys + b"".join(blocks)
