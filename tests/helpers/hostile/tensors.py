"""Tensors that lie about their storage, and things in the model that are no weights."""

from __future__ import annotations

import struct

from .registry import hostile_stream, register_stream
from .writing import (
    ENCODER,
    FALSE,
    HIDDEN,
    NONE,
    ORDERED_DICT,
    POP,
    REBUILD,
    TRUE,
    Stream,
    call,
    dense,
    global_name,
    list_of,
    mapping,
    named,
    number,
    numbers,
    real,
    reference,
    sound,
    stack_global,
    storage,
    tensor,
    text,
    tuple_of,
)

_OUTSIDE = "a tensor claims to lie outside its storage"
_NO_STORAGE = "a tensor is rebuilt from something that is no storage"
_FOUR = {"four": bytes(16)}
NORM = ENCODER + "layer_norm.weight"


def _claim(shape: bytes, stride: bytes, offset: bytes = b"K\x00") -> Stream:
    """The sound model, and a tensor of these claims over a storage of four floats."""
    return sound(model={"x": tensor(storage("four", 4), shape, stride, offset)}, more=_FOUR)


for _name, _claims in {
    "shape-too-large": (numbers([5]), numbers([1])),
    "offset-too-large": (numbers([2]), numbers([1]), number(3)),
    "offset-negative": (numbers([2]), numbers([1]), number(-1)),
    "offset-2-to-63": (numbers([1]), numbers([1]), number(1 << 63)),
    "offset-is-true": (numbers([1]), numbers([1]), TRUE),
    "offset-is-a-fraction": (numbers([1]), numbers([1]), real(0.5)),
    "stride-negative": (numbers([2]), numbers([-1]), number(2)),
    "stride-too-large": (numbers([2, 2]), numbers([3, 1])),
    "stride-2-to-62": (numbers([2]), numbers([1 << 62])),
    "strides-overlap-beyond": (numbers([3, 3]), numbers([1, 1])),
    "stride-zero": (numbers([1 << 40]), numbers([0])),
    "strides-zero": (numbers([1 << 20, 1 << 20]), numbers([0, 0])),
    "numel-2-to-63": (numbers([1 << 21] * 3), numbers([0, 0, 0])),
    "numel-wraps-to-0": (numbers([1 << 32, 1 << 32]), numbers([0, 0])),
    "numel-wraps-to-4": (numbers([(1 << 61) + 1, 4]), numbers([0, 1])),
    "empty-and-huge": (numbers([0, 1 << 61, 1 << 61]), numbers([0, 0, 1])),
    "shape-negative": (numbers([-2, -2]), numbers([1, 1])),
    "shape-is-text": (text("44"), text("11")),
    "shape-is-a-number": (number(4), number(1)),
    "shape-is-nothing": (NONE, NONE),
    "shape-of-fractions": (tuple_of(real(2.0)), numbers([1])),
    "shape-of-truth": (tuple_of(TRUE), numbers([1])),
    "shape-longer-than-stride": (numbers([1, 1]), numbers([1])),
    "dimensions-65": (numbers([1] * 65), numbers([1] * 65)),
    "dimensions-100000": (numbers([1] * 100_000), numbers([1] * 100_000)),
}.items():
    register_stream(f"tensors/{_name}", lambda claims=_claims: _claim(*claims), _OUTSIDE)  # type: ignore[misc]


def _reference(*parts: bytes) -> Stream:
    """The sound model, and a storage that is referred to like this."""
    return sound(model={"x": tensor(reference(*parts), numbers([1]), numbers([1]))}, more=_FOUR)


_FLOATS = global_name("torch", "FloatStorage")
for _name, _parts, _cause in (
    ("negative", (text("storage"), _FLOATS, text("four"), text("cpu"), number(-4)), "no sound key or size"),
    ("2-to-63", (text("storage"), _FLOATS, text("four"), text("cpu"), number(1 << 63)), "no sound key or size"),
    ("size-is-true", (text("storage"), _FLOATS, text("four"), text("cpu"), TRUE), "no sound key or size"),
    ("key-is-a-number", (text("storage"), _FLOATS, number(4), text("cpu"), number(4)), "no sound key or size"),
    ("key-is-long", (text("storage"), _FLOATS, text("4" * 999), text("cpu"), number(4)), "no sound key or size"),
    ("module", (text("storage"), global_name("numpy", "FloatStorage"), text("four"), text("cpu"), number(4)),
     r"storage type 'numpy\.FloatStorage' is not one of torch's"),
    ("dotted", (text("storage"), stack_global("torch", "FloatStorage.dtype"), text("four"), text("cpu"), number(4)),
     r"storage type 'torch\.FloatStorage\.dtype' is not one of"),
    ("quantized", (text("storage"), global_name("torch", "QInt8Storage"), text("four"), text("cpu"), number(4)),
     r"storage type 'torch\.QInt8Storage' is not one of"),
    ("view", (text("storage"), _FLOATS, text("four"), text("cpu"), number(4), tuple_of(text("v"), number(1), number(1))),
     "is a view of another"),
    ("short", (text("storage"), _FLOATS, text("four")), "a persistent reference is no storage"),
    ("other", (text("module"), _FLOATS, text("four"), text("cpu"), number(4)), "a persistent reference is no storage"),
):  # fmt: skip
    register_stream(f"tensors/storage-{_name}", lambda parts=_parts: _reference(*parts), _cause)  # type: ignore[misc]


@hostile_stream("storage 'x' claims 1073741824 elements of float32, in a file of")
def storage_larger_than_the_file() -> Stream:
    return sound(model={"x": dense("x", [1 << 30])}, more={"x": bytes(16)})


@hostile_stream("no record 'data/../../../etc/passwd'|is not in the file", containers="zip")
def storage_named_like_a_path() -> Stream:
    return sound(model={"x": dense("../../../etc/passwd", [1])})


@hostile_stream("storage 'four' is named with two types or sizes")
def one_storage_two_types() -> Stream:
    both = {"x": dense("four", [4]), "y": dense("four", [2], "DoubleStorage")}
    return sound(model=both, more=_FOUR)


@hostile_stream("storage 'four' is named with two types or sizes")
def one_storage_two_sizes() -> Stream:
    return sound(model={"x": dense("four", [4]), "y": dense("four", [5])}, more=_FOUR)


def _typed(dtype: bytes) -> bytes:
    """`_rebuild_tensor_v3`: an untyped storage of 16 bytes, read as 16 elements of another type."""
    untyped = global_name("torch.storage", "UntypedStorage")
    place = reference(text("storage"), untyped, text("four"), text("cpu"), number(16))
    function = global_name("torch._utils", "_rebuild_tensor_v3")
    return call(function, place, number(0), numbers([16]), numbers([1]), FALSE, ORDERED_DICT, dtype)


@hostile_stream(_OUTSIDE, containers="zip")
def untyped_storage_read_past_its_end() -> Stream:
    return sound(model={"x": _typed(global_name("torch", "float64"))}, more=_FOUR)


@hostile_stream("unknown type", containers="zip")
def untyped_storage_of_a_callable() -> Stream:
    return sound(model={"x": _typed(global_name("posix", "system"))}, more=_FOUR)


for _function in ("_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_meta_tensor_no_storage",
                  "_rebuild_device_tensor_from_numpy", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass"):  # fmt: skip
    register_stream(
        f"tensors/{_function.strip('_')}",
        lambda function=_function: sound(  # type: ignore[misc]
            model={"x": call(global_name("torch._utils", function), storage("four", 4), NONE, NONE)}, more=_FOUR
        ),
        r"entries of 'model' are no plain tensors\.\n  'x'",
        containers="zip",
    )
register_stream("tensors/rebuilt-from-nothing", lambda: sound(model={"x": call(REBUILD)}), _NO_STORAGE)
register_stream("tensors/rebuilt-from-text", lambda: sound(model={"x": call(REBUILD, text("0"), number(0), NONE, NONE)}),
                _NO_STORAGE)  # fmt: skip
register_stream("tensors/rebuilt-with-too-little", lambda: sound(model={"x": call(REBUILD, storage("0", 88), number(0))}),
                _NO_STORAGE)  # fmt: skip


# -- tensors in wrong places

_NO_TEXT = "'model' has a key that is no text"
for _name, _key in {
    "number": number(7),
    "nothing": NONE,
    "bytes": b"C\x01x",
    "class": global_name("encoder.sentence_encoder.layer_norm", "weight"),
    "tuple": tuple_of(text("x")),
    "tensor": dense("four", [4]),
    "fraction": real(1e300),
}.items():
    register_stream(
        f"tensors/key-is-a-{_name}",
        lambda key=_key: Stream(named({"model": mapping([(key, dense("four", [4]))])}), _FOUR),  # type: ignore[misc]
        _NO_TEXT,
    )
for _name, _value in {
    "list": list_of(dense("four", [4])),
    "text": text("encoder.sentence_encoder.embed_tokens.weight") + dense("four", [4]) + POP,
    "nothing": NONE + dense("four", [4]) + POP,
}.items():
    register_stream(f"tensors/model-is-a-{_name}",
                    lambda value=_value: Stream(named({"model": value}), _FOUR),  # type: ignore[misc]
                    "it has no dictionary 'model'")  # fmt: skip
for _name, _value in {"dictionary": named({"y": dense("four", [4])}), "list": list_of(dense("four", [4])),
                      "number": number(3) + dense("four", [4]) + POP}.items():  # fmt: skip
    register_stream(f"tensors/entry-is-a-{_name}",
                    lambda value=_value: sound(model={"x": value}, more=_FOUR),  # type: ignore[misc]
                    r"entries of 'model' are no plain tensors\.\n  'x'")  # fmt: skip
register_stream("tensors/model-empty", lambda: Stream(named({"model": b"}"})), "'model' is empty")
register_stream("tensors/whole-is-a-tensor", lambda: Stream(dense("four", [4]), _FOUR), "it holds a tensor where")
register_stream("tensors/missing", lambda: sound(leave_out=ENCODER + "layers.0.fc1.bias"), "1 tensors are missing")

_OTHER_MODEL = "the file is sound and safe; it is another kind of model, and exit code 3 says so"
_STRANGE = "every tensor is sound; one has no place in the target, and exit code 3 says so"
for _name, _key in {"model-is-a-tensor": "model", "state-dict-alone": NORM}.items():
    register_stream(f"tensors/{_name}", lambda key=_key: Stream(named({key: dense("four", [4])}), _FOUR),  # type: ignore[misc]
                    "no fairseq RoBERTa", code=3, why=_OTHER_MODEL)  # fmt: skip
for _name, _key, _cause, _code in (
    ("escapes", "\x1b]0;owned\x07\nError: fine\u202e", r"no place for: '\\x1b\]0;owned\\x07\\nError: fine\\u202e'", 3),
    ("surrogate", "\ud800", r"no place for: '\\ud800'", 3),
    ("layer-number-long", f"{ENCODER}layers.{'9' * 900}.x", "not numbered from 0 without a gap", 4),
    ("layer-number-of-other-digits", f"{ENCODER}layers.\u0663.x", "not numbered from 0 without a gap", 4),
):
    register_stream(f"tensors/name-{_name}",
                    lambda key=_key: sound(model={key: dense("four", [4])}, more=_FOUR),  # type: ignore[misc]
                    _cause, code=_code, why=_STRANGE if _code == 3 else "")  # fmt: skip


def _norm(data: bytes) -> Stream:
    return sound(model={NORM: dense("norm", [HIDDEN])}, more={"norm": data})


register_stream("tensors/nan", lambda: _norm(struct.pack(f"<{HIDDEN}f", *[float("nan")] * HIDDEN)), "hold NaN or infinity",
                late=True)  # fmt: skip
register_stream("tensors/infinity", lambda: _norm(struct.pack(f"<{HIDDEN}f", *[float("inf")] * HIDDEN)),
                "hold NaN or infinity", late=True)  # fmt: skip
