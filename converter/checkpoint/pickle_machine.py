"""A pickle reader that cannot run anything.

Python's own `Unpickler` imports and calls what the stream names; restricting it means guarding a machine built to
execute. This one has no such step: a global is a pair of strings, "calling" it looks that pair up in a table of our own
functions (`rebuild.py`), and whatever is not in the table becomes a `Placeholder` that records its arguments. Nothing is
imported, no `__setstate__`, `__init__` or hash of a foreign class exists to be run.

It also bounds what a stream can cost: operations, text, nesting of marks, integer sizes and dictionary keys. Opcodes and
their arguments: Python's `pickletools` documentation (protocols 0 to 5).
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from converter.errors import UnreadableCheckpoint

MAX_OPERATIONS = 2_000_000  # a roberta-large training checkpoint has about 60,000
MAX_TEXT_BYTES = 32 << 20
MAX_LINE_BYTES = 4096
MAX_INTEGER_BYTES = 512
MAX_MARKS = 10_000
_LARGEST_KEY = 1 << 60  # beyond, integers can be chosen to collide in a dictionary


class GlobalName(NamedTuple):
    """A class or function that the stream names: `module` and `name`, nothing more."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Placeholder:
    """What stands for an object of a class that is not in the table: its name and what the stream gave it."""

    __slots__ = ("args", "entries", "items", "name", "state")

    def __init__(self, name: GlobalName, args: object = ()) -> None:
        self.name = name
        self.args = args
        self.state: object = None
        self.items: list[object] = []
        self.entries: list[tuple[object, object]] = []

    def __repr__(self) -> str:
        return f"<{self.name}, not built>"


class _Mark:
    """The boundary that MARK puts on the stack."""


Rebuild = Mapping[GlobalName, Callable[[tuple[object, ...]], object]]
_MARK = _Mark()


class PickleMachine:
    """Reads one pickle from `data`, starting at `position`; afterwards `position` is behind its STOP."""

    def __init__(
        self,
        data: memoryview,
        rebuild: Rebuild,
        persistent: Callable[[object], object],
        *,
        position: int = 0,
    ) -> None:
        self.data = data
        self.position = position
        self.rebuild = rebuild
        self.persistent = persistent
        self.globals: dict[GlobalName, bool] = {}  # True: the stream calls it, False: it only names it
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self._marks = 0
        self._text = 0

    def load(self) -> object:
        """The object the stream describes.

        Raises:
            UnreadableCheckpoint: if the stream is damaged, ends early, or exceeds a bound.
        """
        operations = _OPERATIONS
        data, end = self.data, len(self.data)
        for _ in range(MAX_OPERATIONS):
            if self.position >= end:
                raise self.broken("it ends before its end mark")
            code = data[self.position]
            self.position += 1
            if code == 0x2E:  # STOP
                return self.pop()
            operation = operations.get(code)
            if operation is None:
                raise self.broken(f"byte 0x{code:02x} is no pickle operation that a checkpoint may hold")
            try:
                operation(self)
            except (ValueError, OverflowError, struct.error) as error:  # undecodable text and the like
                raise self.broken(str(error)) from error
        raise self.broken(f"it has more than {MAX_OPERATIONS} operations")

    def broken(self, what: str) -> UnreadableCheckpoint:
        """The error for a stream that cannot be right."""
        return UnreadableCheckpoint(
            f"the pickle inside cannot be read: {what} (at byte {self.position})",
            advice="The file is no checkpoint, or it is damaged; copy or download it again",
        )

    # -- the bytes

    def take(self, size: int) -> memoryview:
        start = self.position
        if size < 0 or start + size > len(self.data):
            raise self.broken(f"an operation asks for {size} bytes, more than there are")
        self.position = start + size
        return self.data[start : start + size]

    def number(self, form: struct.Struct) -> int:
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def line(self) -> bytes:
        chunk = bytes(self.data[self.position : self.position + MAX_LINE_BYTES])
        length = chunk.find(b"\n")
        if length < 0:
            raise self.broken("a text operation has no end of line")
        self.position += length + 1
        return chunk[:length]

    def text_bytes(self, size: int) -> bytes:
        self._text += max(size, 0)
        if self._text > MAX_TEXT_BYTES:
            raise self.broken(f"it holds more than {MAX_TEXT_BYTES >> 20} MB of text")
        return bytes(self.take(size))

    # -- the stack

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.broken("an operation finds nothing on the stack")
        return self.stack.pop()

    def top(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.broken("an operation finds nothing on the stack")
        return self.stack[-1]

    def mark(self) -> None:
        self._marks += 1
        if self._marks > MAX_MARKS:
            raise self.broken(f"more than {MAX_MARKS} marks are open")
        self.stack.append(_MARK)

    def pop_to_mark(self) -> list[object]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                self._marks -= 1
                return items
        raise self.broken("an operation finds no mark")

    # -- what the operations mean

    def put_global(self, module: str, name: str) -> None:
        found = GlobalName(module, name)
        self.globals.setdefault(found, False)
        self.stack.append(found)

    def call(self, function: object, args: object) -> object:
        """What REDUCE and its kin come to: our own function, or a placeholder."""
        if isinstance(function, GlobalName):
            self.globals[function] = True
            build = self.rebuild.get(function)
            if build is not None and isinstance(args, tuple):
                return build(args)
            return Placeholder(function, args)
        if isinstance(function, Placeholder):  # the result of one call is called again: still nothing happens
            return Placeholder(function.name, args)
        raise self.broken("it calls something that is not a global")

    def set_items(self, target: object, pairs: list[object]) -> None:
        if len(pairs) % 2:
            raise self.broken("a dictionary gets a key without a value")
        keyed = zip(map(_as_key, pairs[::2]), pairs[1::2], strict=True)
        if isinstance(target, dict):
            target.update(keyed)
        elif isinstance(target, Placeholder):
            target.entries.extend(keyed)
        else:
            raise self.broken("an operation sets items of something that is no dictionary")

    def append(self, target: object, items: list[object]) -> None:
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Placeholder):
            target.items.extend(items)
        else:
            raise self.broken("an operation appends to something that is no list")

    def build(self) -> None:
        state = self.pop()
        target = self.top()
        if isinstance(target, Placeholder):
            target.state = state
        # Anything else is a value of ours (a dictionary, a tensor): attributes set on it carry no weights.

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        try:
            self.stack.append(self.memo[index])
        except KeyError:
            raise self.broken(f"it refers to memo entry {index}, which does not exist") from None

    def integer(self, raw: bytes) -> int:
        if len(raw) > MAX_INTEGER_BYTES:
            raise self.broken(f"it holds an integer of {len(raw)} bytes")
        return int.from_bytes(raw, "little", signed=True)

    def text_integer(self, raw: bytes) -> int:
        try:
            return int(raw[:MAX_INTEGER_BYTES].rstrip(b"L"))
        except ValueError:
            raise self.broken("a text integer is none") from None

    def text_float(self, raw: bytes) -> float:
        try:
            return float(raw)
        except ValueError:
            raise self.broken("a text number is none") from None

    def old_string(self, raw: bytes) -> str:
        """A string of Python 2's `repr`, quotes and escapes and all."""
        if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in (b"'", b'"'):
            raise self.broken("a text string has no quotes")
        try:
            return codecs.escape_decode(raw[1:-1])[0].decode("utf-8", "replace")
        except ValueError:
            raise self.broken("a text string has a damaged escape") from None


def _as_key(key: object, depth: int = 0) -> object:
    """A dictionary key that costs a constant time to hash and compare; anything else becomes a unique stand-in."""
    if key is None or isinstance(key, str | bytes | bool | GlobalName | Placeholder):
        return key
    if isinstance(key, int | float):
        return key if -_LARGEST_KEY < key < _LARGEST_KEY else str(key)
    if type(key) is tuple and len(key) <= 8 and depth < 2:
        return tuple(_as_key(item, depth + 1) for item in key)
    return Placeholder(GlobalName("builtins", type(key).__name__))


_U1, _U2, _U4, _U8 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")

_Operation = Callable[[PickleMachine], None]


def _push(read: Callable[[PickleMachine], object]) -> _Operation:
    def operation(machine: PickleMachine) -> None:
        machine.stack.append(read(machine))

    return operation


def _unicode(size: struct.Struct) -> _Operation:
    return _push(lambda m: m.text_bytes(m.number(size)).decode("utf-8", "surrogatepass"))


def _old_unicode(size: struct.Struct) -> _Operation:
    return _push(lambda m: m.text_bytes(m.number(size)).decode("utf-8", "replace"))


def _raw(size: struct.Struct) -> _Operation:
    return _push(lambda m: m.text_bytes(m.number(size)))


def _tuple_of(count: int) -> _Operation:
    return _push(lambda m: tuple(reversed([m.pop() for _ in range(count)])))


def _marked_dict(machine: PickleMachine) -> None:
    target: dict[object, object] = {}
    machine.set_items(target, machine.pop_to_mark())
    machine.stack.append(target)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items(machine.top(), [key, value])


def _set_items(machine: PickleMachine) -> None:
    pairs = machine.pop_to_mark()
    machine.set_items(machine.top(), pairs)


def _append(machine: PickleMachine) -> None:
    item = machine.pop()
    machine.append(machine.top(), [item])


def _appends(machine: PickleMachine) -> None:
    items = machine.pop_to_mark()
    machine.append(machine.top(), items)


def _global(machine: PickleMachine) -> None:
    module, name = machine.line(), machine.line()
    machine.put_global(module.decode("utf-8", "replace"), name.decode("utf-8", "replace"))


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise machine.broken("a global's name is not text")
    machine.put_global(module, name)


def _extension(size: struct.Struct) -> _Operation:
    return lambda machine: machine.put_global("copyreg extension", str(machine.number(size)))


def _reduce(machine: PickleMachine) -> None:
    args, function = machine.pop(), machine.pop()
    machine.stack.append(machine.call(function, args))


def _new_with_keywords(machine: PickleMachine) -> None:
    keywords, args, cls = machine.pop(), machine.pop(), machine.pop()
    machine.stack.append(machine.call(cls, (args, keywords)))


def _inst(machine: PickleMachine) -> None:
    _global(machine)
    cls = machine.pop()
    machine.stack.append(machine.call(cls, tuple(machine.pop_to_mark())))


def _obj(machine: PickleMachine) -> None:
    parts = machine.pop_to_mark()
    if not parts:
        raise machine.broken("an object is built of nothing")
    machine.stack.append(machine.call(parts[0], tuple(parts[1:])))


def _pop(machine: PickleMachine) -> None:
    if machine.stack and machine.stack[-1] is _MARK:
        machine.pop_to_mark()
    else:
        machine.pop()


def _drop_to_mark(machine: PickleMachine) -> None:
    machine.pop_to_mark()


def _skip(size: int) -> _Operation:
    def operation(machine: PickleMachine) -> None:
        machine.take(size)

    return operation


def _int(machine: PickleMachine) -> None:
    raw = machine.line()
    machine.stack.append({b"00": False, b"01": True}[raw] if raw in (b"00", b"01") else machine.text_integer(raw))


_OPERATIONS: dict[int, _Operation] = {
    ord("("): PickleMachine.mark,
    ord("0"): _pop,
    ord("1"): _drop_to_mark,
    ord("2"): _push(PickleMachine.top),
    ord("F"): _push(lambda m: m.text_float(m.line())),
    ord("G"): _push(lambda m: _F8.unpack(m.take(8))[0]),
    ord("I"): _int,
    ord("J"): _push(lambda m: m.number(_I4)),
    ord("K"): _push(lambda m: m.number(_U1)),
    ord("L"): _push(lambda m: m.text_integer(m.line())),
    ord("M"): _push(lambda m: m.number(_U2)),
    0x8A: _push(lambda m: m.integer(bytes(m.take(m.number(_U1))))),
    0x8B: _push(lambda m: m.integer(bytes(m.take(m.number(_I4))[: MAX_INTEGER_BYTES + 1]))),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("S"): _push(lambda m: m.old_string(m.line())),
    ord("T"): _old_unicode(_I4),
    ord("U"): _old_unicode(_U1),
    ord("V"): _push(lambda m: m.line().decode("raw-unicode-escape", "replace")),
    ord("X"): _unicode(_U4),
    0x8C: _unicode(_U1),
    0x8D: _unicode(_U8),
    ord("B"): _raw(_U4),
    ord("C"): _raw(_U1),
    0x8E: _raw(_U8),
    0x96: _raw(_U8),
    ord("]"): _push(lambda m: []),
    ord("l"): _push(PickleMachine.pop_to_mark),
    ord("a"): _append,
    ord("e"): _appends,
    ord(")"): _push(lambda m: ()),
    ord("t"): _push(lambda m: tuple(m.pop_to_mark())),
    0x85: _tuple_of(1),
    0x86: _tuple_of(2),
    0x87: _tuple_of(3),
    ord("}"): _push(lambda m: {}),
    ord("d"): _marked_dict,
    ord("s"): _set_item,
    ord("u"): _set_items,
    # Sets are kept as lists: their members' hashes are of no interest, and none is computed.
    0x8F: _push(lambda m: []),
    0x90: _appends,
    0x91: _push(PickleMachine.pop_to_mark),
    ord("g"): lambda m: m.recall(m.text_integer(m.line())),
    ord("h"): lambda m: m.recall(m.number(_U1)),
    ord("j"): lambda m: m.recall(m.number(_U4)),
    ord("p"): lambda m: m.remember(m.text_integer(m.line())),
    ord("q"): lambda m: m.remember(m.number(_U1)),
    ord("r"): lambda m: m.remember(m.number(_U4)),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("c"): _global,
    0x93: _stack_global,
    0x82: _extension(_U1),
    0x83: _extension(_U2),
    0x84: _extension(_I4),
    ord("R"): _reduce,
    ord("b"): PickleMachine.build,
    ord("i"): _inst,
    ord("o"): _obj,
    0x81: _reduce,  # NEWOBJ: cls.__new__(cls, *args), which for us is the same inert call
    0x92: _new_with_keywords,
    ord("P"): _push(lambda m: m.persistent(m.line().decode("utf-8", "replace"))),
    ord("Q"): _push(lambda m: m.persistent(m.pop())),
    0x80: _skip(1),  # PROTO
    0x95: _skip(8),  # FRAME: only a hint for buffered readers
}
