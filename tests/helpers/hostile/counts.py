"""Counts and lengths without measure: of bytes, digits, operations, classes, keys, tensors, storages."""

from __future__ import annotations

import struct

from .registry import hostile_stream, register_stream
from .writing import (
    ENCODER,
    FALSE,
    MARK,
    NONE,
    ORDERED_DICT,
    POP,
    REBUILD,
    REDUCE,
    Stream,
    dense,
    get,
    global_name,
    number,
    numbers,
    put,
    sound,
    storage,
    tensor,
    text,
)

_CUT = "an operation asks for [0-9-]+ bytes, more than there are"
_OPERATIONS = "it has more than [0-9]+ operations"
_TEXT = "it holds more than 16 MB of text"
_MEGABYTE = 1 << 20
_HUGE = struct.pack("<Q", 1 << 62)
_BOTH = "zip legacy"

# Whole pickles, but for their first and last operation: name, operations, cause, containers.
for _name, _operations, _cause, _containers in (
    ("binunicode8-2-to-62", b"\x8d" + _HUGE + b"x", _TEXT, _BOTH),
    ("binbytes8-2-to-62", b"\x8e" + _HUGE + b"x", _TEXT, _BOTH),
    ("bytearray8-2-to-64", b"\x96" + b"\xff" * 8, _TEXT, _BOTH),
    ("binunicode-4-gb", b"X\xff\xff\xff\xff", _TEXT, _BOTH),
    ("binunicode-past-the-end", b"X\xff\xff\xff\x00" + b"x" * 99, _CUT, _BOTH),
    ("binstring-negative", b"T\xff\xff\xff\xff", _CUT, "zip"),
    ("long4-negative", b"\x8b\xff\xff\xff\xff", _CUT, "zip"),
    ("long4-2-to-31", b"\x8b\xff\xff\xff\x7f", "it holds an integer of 2147483647 bytes", _BOTH),
    ("long4-5-mb", b"\x8b" + struct.pack("<i", 5 << 20) + b"\x7f" * (5 << 20), "it holds an integer of 5242880 bytes", _BOTH),
    ("long1-full", b"\x8a\xff" + b"\x7f" * 255, "it holds an integer of 255 bytes", "zip"),
    ("int-text-5000-digits", b"I" + b"9" * 5000 + b"\n", "a text operation has no end of line", _BOTH),
    ("int-text-4000-digits", b"I" + b"9" * 4000 + b"\n", "a text integer of 4000 characters is none, or too long", "zip"),
    ("long-text-4000-digits", b"L" + b"9" * 4000 + b"L\n", "a text integer of 4001 characters is none, or too long", "zip"),
    ("long-text-is-code", b"L__import__('os')L\n", "a text integer of [0-9]+ characters is none", "zip"),
    ("long-text-of-other-digits", b"L\xd9\xa3L\n", "a text integer of 3 characters is none", "zip"),
    ("float-is-code", b"F__import__('os')\n", "a text number is none", "zip"),
    ("frame-2-to-63", b"\x95" + struct.pack("<Q", 1 << 63) + NONE, "a frame of 9223372036854775808 bytes", _BOTH),
    ("protocol-255", b"\x80\xff" + NONE, "pickle protocol 255, which does not exist", "zip"),
    ("memo-get-2-to-31", get(1 << 31), "memo entry 2147483648, which does not exist", "zip"),
    ("memo-get-text", b"g99999999999999999999\n", "memo entry 99999999999999999999, which does not exist", "zip"),
    ("memo-get-negative", b"g-1\n", "memo entry -1, which does not exist", "zip"),
    ("next-buffer", b"\x97", "byte 0x97 is no pickle operation", "zip"),
    ("read-only-buffer", b"\x98", "byte 0x98 is no pickle operation", "zip"),
    ("unknown-operation", b"\xff", "byte 0xff is no pickle operation", _BOTH),
    ("pop-of-nothing", b"00", "finds nothing on the stack", "zip"),
    ("reduce-of-nothing", REDUCE, "finds nothing on the stack", "zip"),
    ("obj-of-nothing", MARK + b"o", "an object is built of nothing", "zip"),
    ("no-mark", NONE + b"t", "finds no mark", "zip"),
    ("odd-items", b"}" + MARK + NONE + b"u", "a key without a value", "zip"),
    ("items-of-a-number", number(1) + NONE + NONE + b"s", "sets items of something that is no dictionary", "zip"),
    ("append-to-a-tuple", b")" + NONE + b"a", "appends to something that is no list", "zip"),
    ("bad-utf-8", b"X\x02\x00\x00\x00\xff\xfe", "decode", "zip"),
    ("string-without-quotes", b"Sabc\n", "has no quotes", "zip"),
    ("string-bad-escape", b"S'\\x'\n", "damaged escape", "zip"),
    ("global-of-numbers", number(1) + number(2) + b"\x93", "a global's name is not text", "zip"),
    ("marks", MARK * 200_000, "more than [0-9]+ marks are open", _BOTH),
    ("operations", b"N0" * 1_500_000 + NONE, _OPERATIONS, _BOTH),
    ("memoized-dictionaries", b"}\x94" * 1_500_000, _OPERATIONS, "zip"),
    ("lists", b"]Na" * 1_000_000, _OPERATIONS, "zip"),
    ("calls", global_name("a", "b") + b"\x94" + b"h\x00)R" * 1_000_000, _OPERATIONS, "zip"),
    ("dictionaries", b"}NNs" * 1_000_000, _OPERATIONS, "zip"),
    ("classes", b"".join(b"(im%d\nn\n" % i for i in range(5_000)), "it names more than 2000 classes", _BOTH),
    ("long-class", text("m" * 2_000_000) + text("n") + b"\x93", "a global's name has 2000001 characters", "zip"),
    ("long-key", b"}" + text("k" * 2_000_000) + NONE + b"s", "a dictionary key of 2000000 characters", "zip"),
    ("lines-of-text", (b"V" + b"x" * 4000 + b"\n") * 6_000, _TEXT, _BOTH),
    ("lines-of-wide-text", (b"V\\U0001f600" + b"x" * 4000 + b"\n") * 6_000, _TEXT, "zip"),
    ("wide-text", text("x" * 15 * _MEGABYTE + "\U0001f600") + text("x" * 2 * _MEGABYTE), _TEXT, _BOTH),
    ("strings-of-python-2", (b"T" + struct.pack("<i", _MEGABYTE) + b"\xff" * _MEGABYTE) * 20, _TEXT, "zip"),
    ("raw-bytes", (b"B" + struct.pack("<I", _MEGABYTE) + b"\xff" * _MEGABYTE) * 20, _TEXT, "zip"),
    ("integers", b"".join(b"\x8a\x40" + struct.pack("<Q", i) * 8 for i in range(300_000)), _TEXT, "zip"),
):  # fmt: skip
    register_stream(f"counts/{_name}", lambda value=_operations: Stream(value), _cause, containers=_containers)  # type: ignore[misc]


@hostile_stream("no tokenizer", containers="zip", code=0)
def memo_put_2_to_31() -> Stream:
    """Python's own unpickler makes a table of so many entries."""
    return sound(beside={"extra_state": NONE + put(1 << 31) + POP + get(1 << 31)})


# -- keys


def colliding_tuples(count: int) -> list[bytes]:
    """Pairs of integers that all have one hash in CPython 3.8 and later (xxHash over the items' own hashes)."""
    prime_1, prime_2, prime_5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    word = (1 << 64) - 1
    inverse = pow(prime_2, -1, 1 << 64)
    found: list[bytes] = []
    first = 0
    while len(found) < count:
        first += 1
        rest = (prime_5 + first * prime_2) & word
        rest = (((rest << 31) | (rest >> 33)) * prime_1) & word
        second = ((0x1234567 - rest) * inverse) & word
        if second < 1 << 60:
            found.append(number(first) + number(second) + b"\x86")
    return found


def _keyed(keys: list[bytes]) -> Stream:
    return sound(beside={"extra_state": b"}" + MARK + b"".join(key + NONE for key in keys) + b"u"})


@hostile_stream("no tokenizer", containers="zip", code=0)
def colliding_tuple_keys() -> Stream:
    """Inserting them into a dictionary takes the square of their number: minutes."""
    return _keyed(colliding_tuples(30_000))


@hostile_stream("no tokenizer", containers="zip", code=0)
def colliding_integer_keys() -> Stream:
    """Multiples of 2**61 - 1, which all hash to 0, and numbers that differ in their upper bits only."""
    return _keyed([number(i * ((1 << 61) - 1)) for i in range(30_000)] + [number(i << 40) for i in range(30_000)])


@hostile_stream(_OPERATIONS, containers="zip")
def big_integer_keys() -> Stream:
    return Stream(number(1 << 500) + put(9) + POP + (b"}" + get(9) + b"Ns") * 300_000 + b"}")


# -- tensors and storages


def _made_once(kind: str = "FloatStorage") -> bytes:
    """Puts the rebuilding function at 8 and arguments of a one-element tensor at 9, for calls of three operations."""
    arguments = MARK + storage("0", 1, kind) + number(0) + numbers([1]) * 2 + FALSE + ORDERED_DICT + b"t"
    return REBUILD + put(8) + POP + arguments + put(9) + POP


@hostile_stream("it has more than [0-9]+ tensors", containers="zip")
def tensors_without_number() -> Stream:
    return Stream(_made_once() + MARK + (get(8) + get(9) + REDUCE) * 200_000 + b"l", {"0": bytes(4)})


@hostile_stream("it has more than [0-9]+ tensors")
def model_of_many_tensors() -> Stream:
    entries = b"".join(text(f"{ENCODER}layers.{i}.x") + get(8) + get(9) + REDUCE for i in range(60_000))
    return Stream(_made_once() + b"}" + text("model") + b"}" + MARK + entries + b"us", {"0": bytes(4)})


@hostile_stream("its tensors claim [0-9]+ bytes together, in a file of [0-9]+, by sharing storages")
def one_storage_many_times() -> Stream:
    """A small file that would be written out as gigabytes: each layer's weights are the same storage."""
    again = {f"x{i}": tensor(storage("w", 1 << 18), numbers([512, 512]), numbers([512, 1])) for i in range(2000)}
    return sound(model=again, more={"w": bytes(1 << 20)})


@hostile_stream("it names more than [0-9]+ storages", containers="zip")
def storages_without_number() -> Stream:
    start = text("storage") + put(1) + POP + global_name("torch", "FloatStorage") + put(2) + POP + text("cpu") + put(3)
    one = b"".join(MARK + get(1) + get(2) + text(str(i)) + get(3) + b"K\x01tQ0" for i in range(50_000))
    return Stream(start + POP + one + b"}")


@hostile_stream("the model has 5000 tensors that .* has no place for", containers="zip", code=3,
                why="each tensor is sound; none has a place in the target, and exit code 3 says so")  # fmt: skip
def strange_tensors() -> Stream:
    return sound(model={f"strange.{i}": dense("one", [1]) for i in range(5_000)}, more={"one": bytes(4)})


@hostile_stream("[0-9]+ tensors are missing", containers="zip")
def layers_without_number() -> Stream:
    layers = {f"{ENCODER}layers.{i}.fc1.bias": dense("one", [1]) for i in range(1, 5_000)}
    return sound(model=layers, more={"one": bytes(4)})


@hostile_stream("entries of 'model' are no plain tensors", containers="zip")
def model_of_many_nothings() -> Stream:
    return sound(model={f"x{i}": NONE for i in range(200_000)})
