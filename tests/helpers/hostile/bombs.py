"""Small pickles that unfold: billion laughs, deep nesting, and values that whoever walks them walks for ever."""

from __future__ import annotations

from collections.abc import Callable

from .registry import hostile_stream, register_stream
from .writing import (
    MARK,
    NONE,
    POP,
    REDUCE,
    Stream,
    get,
    global_name,
    mapping,
    named,
    namespace,
    number,
    numbers,
    put,
    reference,
    sound,
    storage,
    tensor,
    text,
)

_ONE = {"x": bytes(4)}
_TOO_MUCH = "training arguments unfold into more than [0-9]+ values"
_NO_TENSORS = "entries of 'model' are no plain tensors"
_NO_MODEL = "it has no dictionary 'model'"
_NO_TYPE = "storage type '.*' is not one of torch's plain types"
_NO_HEADS = "a value that is no number is no number of heads; the user can give it"
_OUTSIDE = "outside its storage"


def laughs(kind: str, levels: int = 60) -> bytes:
    """Ten references to ten references to ...: ten to the power of `levels` parts, in a few bytes per level."""
    value = text("lol") + put(1000)
    for level in range(levels):
        if kind == "dict":
            body = b"}" + MARK + b"".join(text(str(i)) + get(1000 + level) for i in range(10)) + b"u"
        else:
            body = MARK + get(1000 + level) * 10 + (b"t" if kind == "tuple" else b"l")
        value += POP + body + put(1001 + level)
    return value


def _typed(kind: bytes) -> bytes:
    """A storage of the type `kind`."""
    return reference(text("storage"), kind, text("x"), text("cpu"), number(1))


def _register_laughs(kind: str) -> None:
    """Wherever something might print, compare, copy or walk the value."""
    places: dict[str, tuple[Callable[[], Stream], str]] = {
        "model": (lambda: Stream(named({"model": laughs(kind)})), _NO_TENSORS if kind == "dict" else _NO_MODEL),
        "whole": (lambda: Stream(laughs(kind)), _NO_MODEL if kind == "dict" else f"a value of type {kind} where"),
        "argument": (lambda: sound(arguments={"x": laughs(kind)}), _TOO_MUCH),
        "section": (lambda: sound(beside={"cfg": named({"model": laughs(kind), "x": laughs("dict")})}), _TOO_MUCH),
        "shape": (lambda: sound(model={"x": tensor(storage("x", 1), laughs(kind), numbers([1]))}, more=_ONE), _OUTSIDE),
        "storage-type": (lambda: sound(beside={"x": _typed(laughs(kind))}), _NO_TYPE),
        "key": (lambda: Stream(named({"model": mapping([(laughs(kind), NONE)])})), "'model' has a key that is no text"),
    }
    for place, (make, cause) in places.items():
        register_stream(f"bombs/laughs-as-{place}-{kind}", make, cause)
    beside = sound(beside={"extra_state": laughs(kind)})
    register_stream(f"bombs/laughs-beside-{kind}", lambda: beside, "no tokenizer", containers="zip", code=0)


for _kind in ("list", "tuple", "dict"):
    _register_laughs(_kind)
register_stream("bombs/laughs-as-heads", lambda: sound(arguments={"encoder_attention_heads": laughs("list", 3)}),
                "number of attention heads nowhere", code=2, why=_NO_HEADS)  # fmt: skip


# -- nesting


def deep(kind: str, levels: int = 0) -> bytes:
    """`levels` containers, one inside the other."""
    levels = levels or {"object": 50_000, "ordered": 50_000, "namespace": 30_000}.get(kind, 100_000)
    if kind == "tuple":
        return b")" + b"\x85" * levels
    if kind == "list":
        return b"]" * levels + b"a" * (levels - 1)
    if kind == "dict":
        return (b"}" + text("k")) * (levels - 1) + b"}" + b"s" * (levels - 1)
    if kind == "object":  # a call of a call of ...
        return global_name("a", "b") + put(5) + POP + get(5) * levels + b")" + b"R\x85" * (levels - 1) + REDUCE
    if kind == "ordered":
        made = global_name("collections", "OrderedDict") + put(5) + POP
        return made + (get(5) + b")R" + text("k")) * levels + NONE + b"s" * levels
    return (global_name("argparse", "Namespace") + b")\x81}" + text("k")) * levels + NONE + b"sb" * levels


def _register_deep(kind: str) -> None:
    in_model = _NO_TENSORS if kind in ("dict", "ordered") else _NO_MODEL
    containers = "zip legacy" if kind in ("tuple", "list") else "zip"
    register_stream(
        f"bombs/deep-model-{kind}", lambda: Stream(named({"model": deep(kind)})), in_model, containers=containers
    )
    for name, make in {
        "beside": lambda: sound(beside={"extra_state": deep(kind)}),
        "argument": lambda: sound(arguments={"x": deep(kind)}),
    }.items():
        register_stream(f"bombs/deep-{name}-{kind}", make, "no tokenizer", containers="zip", code=0)


for _kind in ("tuple", "list", "dict", "object", "ordered", "namespace"):
    _register_deep(_kind)


@hostile_stream("'model' has a key that is no text")
def deep_key() -> Stream:
    return Stream(named({"model": mapping([(deep("tuple"), NONE)])}))


@hostile_stream(_NO_TYPE)
def deep_storage_type() -> Stream:
    return Stream(_typed(deep("list")))


@hostile_stream(_OUTSIDE)
def deep_offset() -> Stream:
    return sound(model={"x": tensor(storage("x", 1), numbers([1]), numbers([1]), deep("list"))}, more=_ONE)


# -- containers that hold themselves, and what costs the square of the file


def itself(kind: str, times: int = 1) -> bytes:
    """A list or dictionary that holds itself."""
    if kind == "list":
        return b"]" + put(500) + MARK + get(500) * times + b"e"
    return b"}" + put(501) + MARK + b"".join(text(str(i)) + get(501) for i in range(times)) + b"u"


@hostile_stream("no tokenizer", code=0)
def arguments_hold_themselves() -> Stream:
    return sound(arguments={"x": itself("list", 10), "y": itself("dict", 10)})


@hostile_stream(
    "attention heads nowhere", containers="zip", code=2, why="its args, which fairseq reads first, are none"
)
def content_holds_itself() -> Stream:
    """Even the sound model's own dictionary is inside what stands beside it."""
    return sound(beside={"extra_state": itself("list"), "args": itself("dict", 2)}, arguments={"x": itself("list")})


@hostile_stream(_TOO_MUCH)
def one_big_section_many_times() -> Stream:
    big = mapping((number(i), NONE) for i in range(100_000)) + put(9)
    return sound(beside={"cfg": named({"s": big, **{f"s{i}": get(9) for i in range(20_000)}})})


@hostile_stream(_TOO_MUCH, containers="zip")
def one_big_list_many_times() -> Stream:
    big = MARK + NONE * 300_000 + b"l" + put(9)
    return sound(beside={"cfg": named({"model": namespace({"s": big, **{f"s{i}": get(9) for i in range(20_000)}})})})


@hostile_stream("its dictionaries copy one another without end")
def ordered_dict_of_one_big_list() -> Stream:
    big = MARK + text("k") + NONE + b"\x86" + b"2" * 200_000 + b"l" + put(9) + POP
    make = global_name("collections", "OrderedDict") + put(10) + POP
    return Stream(big + make + (get(10) + get(9) + b"\x85R0") * 100_000 + b"}")


@hostile_stream("a dictionary is made of something that is no pairs", containers="zip")
def ordered_dict_of_almost_pairs() -> Stream:
    """Each call would look at every pair of a long list, only to find that the last is none."""
    big = MARK + text("k") + NONE + b"\x86" + b"2" * 200_000 + NONE + b"l" + put(9) + POP
    make = global_name("collections", "OrderedDict") + put(10) + POP
    return Stream(big + make + (get(10) + get(9) + b"\x85R0") * 100_000 + b"}")


@hostile_stream("it holds more than 16 MB of text", containers="zip")
def codecs_encode_one_big_text() -> Stream:
    """Each call would copy the same megabytes."""
    big = text("x" * (8 << 20)) + put(9) + POP + global_name("_codecs", "encode") + put(10) + POP
    return Stream(big + MARK + (get(10) + get(9) + b"\x85R") * 100_000 + b"l")
