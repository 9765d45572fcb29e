"""What a single value among the arguments stands for, where it is no plain value of Python's own.

fairseq and its users put enums, paths, numpy scalars, torch types and objects of classes of their own among the
arguments. The pickle names their class and carries their content; this module makes plain values of that content, and
says of what it cannot read why. Nothing of these classes is imported.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from prenorm.checkpoint.dtypes import ITEM_SIZES
from prenorm.checkpoint.pickle.placeholders import GlobalName, Placeholder
from prenorm.checkpoint.tensors import LazyTensor

_NAMESPACE = GlobalName("argparse", "Namespace")
_BUILTINS = ("builtins", "__builtin__")
_SEQUENCES = {GlobalName(module, name) for module in _BUILTINS for name in ("set", "frozenset", "list", "tuple")}
_RECONSTRUCTORS = {GlobalName("copyreg", "_reconstructor"), GlobalName("copy_reg", "_reconstructor")}
_GETATTR = {GlobalName(module, "getattr") for module in _BUILTINS}
_NUMPY_SCALARS = {GlobalName("numpy.core.multiarray", "scalar"), GlobalName("numpy._core.multiarray", "scalar")}
# numpy's type codes and `struct`'s: the numbers a scalar argument can be.
_NUMBER_FORMS: Mapping[str, str] = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


@dataclass(frozen=True)
class NotPlain:
    """Stand for a value that cannot be read as a plain one, and say why.

    `is_given` is False for what has to be given and never was, which counts as absent.
    """

    reason: str
    is_given: bool = True


def class_of(value: Placeholder) -> GlobalName:
    """Tell the class that an object was of; Python 2 and the oldest protocols name it as an argument of `_reconstructor`.

    Args:
        value: the object's placeholder.

    Returns:
        The name of its class.
    """
    args = value.args if isinstance(value.args, tuple) else ()
    return args[0] if value.name in _RECONSTRUCTORS and args and isinstance(args[0], GlobalName) else value.name


def is_namespace(value: object) -> bool:
    """Say whether a value is argparse's Namespace itself.

    Args:
        value: any value.

    Returns:
        True for a Namespace, False for subclasses and all else.
    """
    return isinstance(value, Placeholder) and class_of(value) == _NAMESPACE


def members(value: object) -> Mapping[object, object] | Sequence[object] | None:
    """List what a container or an object holds.

    Objects show their attributes, whatever their class; those that are dictionaries or lists at heart their entries.

    Args:
        value: any value.

    Returns:
        A mapping or a sequence; None for a single value.
    """
    if isinstance(value, GlobalName):  # a tuple to Python, one value to us
        return None
    if isinstance(value, dict | list | tuple):
        return value
    return _object_members(value) if isinstance(value, Placeholder) else None


def _object_members(value: Placeholder) -> Mapping[object, object] | Sequence[object] | None:
    args = value.args if isinstance(value.args, tuple) else ()
    if value.name in _SEQUENCES:
        return args[0] if args and isinstance(args[0], list | tuple) else ()
    # `object.__reduce_ex__`: the attributes, or a pair of them and of what stands in slots.
    states = value.state if type(value.state) is tuple and len(value.state) == 2 else (value.state,)
    inherited = args[2] if value.name in _RECONSTRUCTORS and len(args) == 3 else None
    named = [part for part in (inherited, *states) if isinstance(part, dict) and part]
    if len(named) == 1 and not value.entries:
        return named[0]
    if named or value.entries:
        return {key: item for part in (*named, dict(value.entries)) for key, item in part.items()}
    if value.items:
        return value.items
    return {} if is_namespace(value) else None


def single(value: object) -> object:
    """Read a value without members.

    An enum's member becomes its value, or its name where the pickle has only that (Python 3.11). numpy scalars become
    Python's, paths and torch types text, bytes the text they encode.

    Args:
        value: any value.

    Returns:
        None, bool, number or text; `NotPlain` if it is none of these.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return _text_of(value)
    if isinstance(value, GlobalName):
        is_dtype = value.module == "torch" and value.name in ITEM_SIZES
        return str(value) if is_dtype else NotPlain("a class or function")
    if isinstance(value, LazyTensor):
        return NotPlain("a tensor")
    return _single_object(value) if isinstance(value, Placeholder) else NotPlain("no plain value")


def _single_object(value: Placeholder) -> object:
    args = value.args if isinstance(value.args, tuple) else ()
    if value.name in _NUMPY_SCALARS:
        return _numpy_scalar(args)
    if value.name.module.partition(".")[0] == "pathlib" and value.name.name.endswith("Path"):
        return _path(value.name.name, args)
    if value.name in _GETATTR and len(args) == 2 and isinstance(args[0], GlobalName) and isinstance(args[1], str):
        return args[1] if not _is_standard(args[0]) else NotPlain(kind_of(value))
    if value.name in _RECONSTRUCTORS and len(args) == 3:
        return single(args[2]) if _is_bare(args[2]) else NotPlain(kind_of(value))
    # What is left is a call with one plain argument: an enum's member, or an object that is text or a number at heart.
    if len(args) == 1 and _is_bare(args[0]) and not _is_standard(value.name):
        return args[0]
    return NotPlain(kind_of(value))


def _is_bare(value: object) -> bool:
    return isinstance(value, bool | int | float | str)


def _is_standard(name: GlobalName) -> bool:
    """Say whether Python itself has that module: its functions compute something, so their argument is not their value."""
    package = name.module.partition(".")[0]
    return package in sys.stdlib_module_names or package in _BUILTINS


def kind_of(value: object) -> str:
    """Name the class of a value for people; safe to show whatever the file says.

    Args:
        value: any value.

    Returns:
        Its class with an article.
    """
    if isinstance(value, Placeholder):
        name = class_of(value).name.rpartition(".")[2]
        if name.isascii() and name.isidentifier() and len(name) <= 64:
            return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"
        return "an object"
    return "a dictionary" if isinstance(value, dict) else "a list" if isinstance(value, list | tuple) else "a value"


def _path(kind: str, args: tuple[object, ...]) -> object:
    parts = [part for part in args if isinstance(part, str)]
    if len(parts) != len(args):
        return NotPlain("a path that is none")
    return str(PureWindowsPath(*parts) if "Windows" in kind else PurePosixPath(*parts))


def _text_of(raw: bytes) -> object:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return NotPlain("bytes that are no text")


def _numpy_scalar(args: tuple[object, ...]) -> object:
    """Read the number or text of `numpy.core.multiarray.scalar(dtype, bytes)`.

    A dtype is pickled as `dtype(code, False, True)` with the byte order second in its state.

    Args:
        args: the arguments of that call.

    Returns:
        The number or text, or `NotPlain`.
    """
    dtype, raw = args if len(args) == 2 else (None, None)
    if not isinstance(dtype, Placeholder) or not isinstance(dtype.args, tuple) or not isinstance(raw, bytes):
        return NotPlain("a numpy scalar that is damaged")
    code = dtype.args[0] if dtype.args else None
    state = dtype.state
    order = ">" if isinstance(state, tuple) and len(state) > 1 and state[1] == ">" else "<"
    form = _NUMBER_FORMS.get(code) if isinstance(code, str) else None
    if form is not None and len(raw) == struct.calcsize(order + form):
        number: object = struct.unpack(order + form, raw)[0]
        return number
    if isinstance(code, str) and code[:1] == "U" and len(raw) % 4 == 0:
        return raw.decode("utf-32-be" if order == ">" else "utf-32-le", "replace")
    return NotPlain("a numpy scalar of another type")
