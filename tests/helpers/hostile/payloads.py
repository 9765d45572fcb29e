"""Code execution through every pickle operation that can reach a callable, and by names that look allowed.

Each payload makes a file called `executed` in the current folder when it is unpickled the usual way; the ones that real
unpicklers refuse too (extension codes that nobody registered, misspelt names) are there because a reader might not.
"""

from __future__ import annotations

from dataclasses import dataclass

from .registry import register_stream
from .writing import (
    BUILD,
    FALSE,
    MARK,
    NONE,
    ORDERED_DICT,
    POP,
    REBUILD,
    REDUCE,
    Stream,
    as_zip,
    call,
    get,
    global_name,
    list_of,
    mapping,
    named,
    number,
    numbers,
    pickled,
    put,
    raw_bytes,
    reference,
    sound,
    stack_global,
    storage,
    tensor,
    text,
    tuple_of,
)

COMMAND = text("touch executed")
CODE = text("open('executed', 'w').close()")
SYSTEM = global_name("posix", "system")
SHELL = call(SYSTEM, COMMAND)
GETATTR = global_name("builtins", "getattr")


@dataclass(frozen=True)
class Payload:
    """A value that runs something when unpickled (`attack`), and the global that must be named to the user."""

    value: bytes
    says: str = r"posix\.system"
    attack: bool = True


def _lazily(*make: bytes) -> bytes:
    """Objects whose class only has `__new__`: a map that calls, made and drained by NEWOBJ or NEWOBJ_EX."""
    new, arguments = make
    return (
        global_name("builtins", "tuple")
        + MARK + global_name("builtins", "map") + tuple_of(SYSTEM, list_of(COMMAND)) + arguments + new + b"t"
        + arguments + new
    )  # fmt: skip


def _setstate(state: bytes) -> bytes:
    """A Namespace that is told its own `__setstate__`, and then given a state."""
    return global_name("argparse", "Namespace") + b")\x81" + state + BUILD + COMMAND + BUILD


_HOSTILE_ATTRIBUTE = named({"__setstate__": SYSTEM})
_NESTED = pickled(SHELL)
_NESTED_FILE = as_zip(Stream(named({"model": SHELL})))
_BYTES_IO = call(global_name("io", "BytesIO"), raw_bytes(_NESTED_FILE))

OPERATIONS: dict[str, Payload] = {
    "global-reduce": Payload(SHELL),
    "stack-global": Payload(call(stack_global("posix", "system"), COMMAND)),
    "stack-global-dotted": Payload(call(stack_global("os", "path.os.system"), COMMAND), r"os\.path\.os\.system"),
    "global-dotted": Payload(call(global_name("os", "path.os.system"), COMMAND), r"os\.path\.os\.system"),
    "inst": Payload(MARK + COMMAND + b"iposix\nsystem\n"),
    "obj": Payload(MARK + global_name("subprocess", "Popen") + list_of(text("touch"), text("executed")) + b"o",
                   r"subprocess\.Popen"),
    "newobj": Payload(_lazily(b"\x81", b""), r"builtins\.map"),
    "newobj-ex": Payload(_lazily(b"\x92", b"}"), r"builtins\.map"),
    "build-setstate": Payload(_setstate(_HOSTILE_ATTRIBUTE)),
    "build-slotstate": Payload(_setstate(tuple_of(NONE, _HOSTILE_ATTRIBUTE))),
    "build-setter": Payload(list_of() + call(global_name("builtins", "exec"), CODE, b"}") + POP, r"builtins\.exec"),
    "build-on-dict": Payload(ORDERED_DICT + _HOSTILE_ATTRIBUTE + BUILD + COMMAND + BUILD),
    "memo": Payload(SYSTEM + put(7) + POP + call(get(7), COMMAND)),
    "duplicate": Payload(SYSTEM + b"2" + tuple_of(COMMAND) + REDUCE + POP),
    "called-result": Payload(call(call(GETATTR, global_name("os", "path"), text("__class__")), text("x")),
                             r"builtins\.getattr", attack=False),
    "ext1": Payload(call(b"\x82\x01", COMMAND), "copyreg extension", attack=False),
    "ext2": Payload(call(b"\x83\x01\x02", COMMAND), "copyreg extension", attack=False),
    "ext4": Payload(call(b"\x84\x01\x02\x03\x04", COMMAND), "copyreg extension", attack=False),
}  # fmt: skip

CALLABLES: dict[str, Payload] = {
    "eval": Payload(call(global_name("builtins", "eval"), CODE), r"builtins\.eval"),
    "python-2-eval": Payload(call(global_name("__builtin__", "eval"), CODE), r"__builtin__\.eval", attack=False),
    "import": Payload(call(global_name("builtins", "__import__"), text("antigravity")), "__import__", attack=False),
    "getattr-chain": Payload(call(call(GETATTR, call(global_name("builtins", "__import__"), text("os")), text("system")),
                                  COMMAND), r"builtins\.getattr"),
    "partial": Payload(call(call(global_name("functools", "partial"), SYSTEM), COMMAND), r"functools\.partial"),
    "timeit": Payload(call(global_name("timeit", "timeit"), CODE, text("pass"), SYSTEM, number(1)), "timeit",
                      attack=False),
    "subprocess": Payload(call(global_name("subprocess", "check_call"), list_of(text("touch"), text("executed"))),
                          r"subprocess\.check_call"),
    "open-for-writing": Payload(call(global_name("io", "open"), text("executed"), text("w")), r"io\.open"),
    "socket": Payload(call(global_name("socket", "create_connection"), tuple_of(text("127.0.0.1"), number(9))),
                      r"socket\.create_connection", attack=False),
    "exec-wrapper": Payload(call(global_name("torch.jit.unsupported_tensor_ops", "execWrapper"), CODE, b"}", b"}"),
                            "execWrapper"),
    "nested-pickle": Payload(call(global_name("pickle", "loads"), raw_bytes(_NESTED)), r"pickle\.loads"),
    "nested-torch-storage": Payload(call(global_name("torch.storage", "_load_from_bytes"), raw_bytes(_NESTED_FILE)),
                                    "_load_from_bytes", attack=False),
    "nested-torch-load": Payload(call(global_name("torch", "load"), _BYTES_IO), r"torch\.load", attack=False),
}  # fmt: skip

LOOK_ALIKES: dict[str, Payload] = {
    "attribute-of-allowed": Payload(
        call(stack_global("torch._utils", "_rebuild_tensor_v2.__globals__.get"), text("os")), "__globals__", False
    ),
    "method-of-allowed": Payload(
        call(stack_global("collections", "OrderedDict.__reduce__"), ORDERED_DICT), "__reduce__", False
    ),
    "allowed-module-other-name": Payload(
        call(global_name("torch._utils", "_import_dotted_name"), text("antigravity")), "_import_dotted_name", False
    ),
    "space-in-module": Payload(call(global_name("torch. _utils", "_rebuild_tensor_v2"), COMMAND), "torch", False),
    "space-after-name": Payload(call(global_name("torch._utils", "_rebuild_tensor_v2 "), COMMAND), "torch", False),
    "carriage-return": Payload(call(global_name("torch._utils\r", "_rebuild_tensor_v2\r"), COMMAND), "torch", False),
    "cyrillic": Payload(call(global_name("t\u043erch._utils", "_rebuild_tensor_v2"), COMMAND), "t\u043erch", False),
    "zero-width": Payload(
        call(global_name("torch._utils", "_rebuild_tensor_v2\u200b"), COMMAND), "_rebuild_tensor_v2", False
    ),
    "full-width": Payload(
        call(global_name("torch._utils", "_rebuild_tensor_\uff562"), COMMAND), "_rebuild_tensor_", False
    ),
    "relative-module": Payload(call(global_name("torch..os", "system"), COMMAND), r"torch\.\.os", False),
    "dunder": Payload(call(global_name("torch._utils", "__builtins__"), COMMAND), "__builtins__", False),
}

PAYLOADS = {**OPERATIONS, **CALLABLES, **LOOK_ALIKES}


def _in_model(payload: Payload) -> Stream:
    return sound(model={"payload": payload.value})


def _beside(payload: Payload) -> Stream:
    return sound(beside={"payload": payload.value})


def _register_all() -> None:
    for name, payload in PAYLOADS.items():
        register_stream(
            f"payload-in-model/{name}",
            lambda payload=payload: _in_model(payload),  # type: ignore[misc]
            r"entries of 'model' are no plain tensors\.\n  'payload'",
            attack=payload.attack,
        )
        register_stream(
            f"payload-beside-model/{name}",
            lambda payload=payload: _beside(payload),  # type: ignore[misc]
            rf"names .*{payload.says}.*; nothing was run",
            containers="legacy" if name in ("inst", "eval", "nested-pickle") else "zip",
            code=0,
            attack=payload.attack,
        )


_register_all()

_NO_TENSOR = "a tensor is rebuilt from something that is no storage"
_X = tensor(storage("x", 1), numbers([1]), numbers([1]))
_ONE = {"x": bytes(4)}
_STORAGE_OF_CALLABLE = reference(text("storage"), SYSTEM, text("0"), text("cpu"), number(4))
_NO_HEADS = "tensors cannot tell the number of heads, and hostile arguments are no arguments"

# A payload where the reader itself looks: as the whole, the model, the arguments, a tensor's parts, a reference.
for _name, _make, _cause, _code in (
    ("whole", lambda: Stream(SHELL), r"it holds an object of posix\.system where a fairseq checkpoint", 4),
    ("model", lambda: Stream(named({"model": SHELL})), "it has no dictionary 'model'", 4),
    ("arguments", lambda: sound(beside={"cfg": SHELL}), "training arguments in .* cannot be read", 4),
    ("namespace-state", lambda: sound(beside={"cfg": NONE, "args": _setstate(_HOSTILE_ATTRIBUTE)}),
     "number of attention heads nowhere", 2),
    ("model-argument", lambda: sound(arguments={"encoder_attention_heads": SHELL}), "attention heads nowhere", 2),
    ("storage", lambda: sound(model={"x": tensor(SHELL, numbers([1]), numbers([1]))}), _NO_TENSOR, 4),
    ("shape", lambda: sound(model={"x": tensor(storage("x", 1), SHELL, numbers([1]))}, more=_ONE), "outside its storage", 4),
    ("hooks", lambda: sound(model={"x": call(REBUILD, storage("x", 1), number(0), SHELL, SHELL, FALSE, SHELL)},
                            more=_ONE),
     "outside its storage", 4),
    ("storage-type", lambda: sound(model={"x": tensor(_STORAGE_OF_CALLABLE, numbers([1]), numbers([1]))}),
     r"storage type 'posix\.system' is not one of torch's", 4),
    ("persistent-id", lambda: sound(beside={"x": tuple_of(SYSTEM, COMMAND) + b"Q"}),
     "a persistent reference is no storage", 4),
    ("persistent-text", lambda: sound(beside={"x": b"Pposix.system\n"}), "a persistent reference is no storage", 4),
    ("key", lambda: sound(beside={"x": mapping([(SHELL, NONE)])}), r"names posix\.system", 0),
    ("model-key", lambda: Stream(named({"model": mapping([(SHELL, NONE)])})), "'model' has a key that is no text", 4),
    ("call-of-data", lambda: sound(beside={"x": call(text("posix.system"), COMMAND)}), "calls something that is not a g",
     4),
    ("tensor-state", lambda: sound(model={"x": _X + tuple_of(_X, SHELL) + BUILD}, more=_ONE),
     "a tensor is given other contents", 4),
):  # fmt: skip
    register_stream(
        f"payload-as/{_name}", _make, _cause, code=_code, why=_NO_HEADS if _code == 2 else "",
        attack=_name not in ("model-argument", "persistent-id", "persistent-text", "storage-type", "call-of-data"),
    )  # fmt: skip
