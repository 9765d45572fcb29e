"""The pickle operations a checkpoint may hold, and the loop that runs them on a `PickleMachine`."""

from __future__ import annotations

import struct
from collections.abc import Callable

from prenorm.checkpoint.limits import MAX_OPERATIONS
from prenorm.checkpoint.pickle.machine import PickleMachine


class PickleReader(PickleMachine):
    """Reads one pickle from `data`, starting at `position`; afterwards `position` is behind its STOP."""

    def load(self, max_operations: int = MAX_OPERATIONS) -> object:
        """Read one object, up to the stream's STOP.

        Args:
            max_operations: how many operations it may take.

        Returns:
            The object that the stream describes.

        Raises:
            UnreadableCheckpoint: if the stream is damaged, ends early, or exceeds a bound.
        """
        operations = _OPERATIONS
        data, end = self.data, len(self.data)
        for _ in range(max_operations):
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
        raise self.broken(f"it has more than {max_operations} operations")


_U1, _U2, _U4, _U8 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")

_LAST_PROTOCOL = 5

_Operation = Callable[[PickleMachine], None]


def _push(read: Callable[[PickleMachine], object]) -> _Operation:
    def operation(machine: PickleMachine) -> None:
        machine.stack.append(read(machine))

    return operation


def _unicode(size: struct.Struct) -> _Operation:
    return _push(lambda m: _decode(m.text_bytes(m.number(size))))


def _decode(raw: bytes) -> str:
    r"""Decode text as Python pickles it; a lone surrogate, which no terminal and no file holds, is spelled out: `\ud800`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _without_surrogates(raw.decode("utf-8", "surrogatepass"))


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


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
    machine.stack.append(machine.call(cls, args, keywords))


def _inst(machine: PickleMachine) -> None:
    _global(machine)
    cls = machine.pop()
    machine.stack.append(machine.call(cls, tuple(machine.pop_to_mark())))


def _obj(machine: PickleMachine) -> None:
    parts = machine.pop_to_mark()
    if not parts:
        raise machine.broken("an object is built of nothing")
    machine.stack.append(machine.call(parts[0], tuple(parts[1:])))


def _drop_to_mark(machine: PickleMachine) -> None:
    machine.pop_to_mark()


def _proto(machine: PickleMachine) -> None:
    version = machine.number(_U1)
    if version > _LAST_PROTOCOL:
        raise machine.broken(f"it is of pickle protocol {version}, which does not exist")


def _frame(machine: PickleMachine) -> None:
    """Pass a frame, a hint for buffered readers; but refuse one past the end, which stands in no whole file."""
    size, left = machine.number(_U8), len(machine.data) - machine.position
    if size > left:
        raise machine.broken(f"a frame of {size} bytes, more than there are")


def _int(machine: PickleMachine) -> None:
    raw = machine.line()
    machine.stack.append({b"00": False, b"01": True}[raw] if raw in (b"00", b"01") else machine.text_integer(raw))


_OPERATIONS: dict[int, _Operation] = {
    ord("("): PickleMachine.mark,
    ord("0"): PickleMachine.drop,
    ord("1"): _drop_to_mark,
    ord("2"): _push(PickleMachine.top),
    ord("F"): _push(lambda m: m.text_float(m.line())),
    ord("G"): _push(lambda m: _F8.unpack(m.take(8))[0]),
    ord("I"): _int,
    ord("J"): _push(lambda m: m.number(_I4)),
    ord("K"): _push(lambda m: m.number(_U1)),
    ord("L"): _push(lambda m: m.text_integer(m.line())),
    ord("M"): _push(lambda m: m.number(_U2)),
    0x8A: _push(lambda m: m.integer(m.number(_U1))),
    0x8B: _push(lambda m: m.integer(m.number(_I4))),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("S"): _push(lambda m: m.old_string(m.line())),
    ord("T"): _old_unicode(_I4),
    ord("U"): _old_unicode(_U1),
    ord("V"): _push(lambda m: _without_surrogates(m.line().decode("raw-unicode-escape", "replace"))),
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
    0x80: _proto,
    0x95: _frame,
}
