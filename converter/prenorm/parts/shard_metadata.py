"""What FSDP says of its flat parameters: whose numbers they are, in which order, and what is padding.

fairscale's `local_metadata_dict`, which fairseq saves as `fsdp_metadata`, in its two forms: that of 0.3.7 and 0.3.8 (one flat
parameter a wrapper, lists side by side) and that of all later ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from prenorm.checkpoint.limits import MAX_DIMENSIONS
from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import HARM, UnreadableCheckpoint

METADATA_KEYS = ("fsdp_metadata", "shard_metadata")  # fairseq's name, and its successor metaseq's
_WRAPPERS = ("_fsdp_wrapped_module", "_fpw_module")  # modules that FSDP puts around others; no part of a name
_LIMIT = 1 << 62


@dataclass(frozen=True)
class FlatParameter:
    """A parameter as the shards hold it: `names` one after another, each in row-major order, cut into equal shards.

    Attributes:
        key: its key in the shards' state dicts.
        names: the parameters in it.
        shapes: theirs.
        padding: how many numbers at the end of this shard are none of theirs.
    """

    key: str
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    padding: int

    @property
    def numels(self) -> tuple[int, ...]:
        """How many numbers each parameter has."""
        return tuple(math.prod(shape) for shape in self.shapes)


@dataclass(frozen=True)
class ShardMetadata:
    """All of one shard: `shared` pairs a tied parameter's first name with its other one; `buffers` are in every shard."""

    parameters: tuple[FlatParameter, ...]
    shared: tuple[tuple[str, str], ...]
    buffers: frozenset[str]


class _Lies(Exception):
    """Something in the metadata that cannot be."""


def clean(path: str) -> str:
    """Take the modules that FSDP puts in between out of a name.

    Args:
        path: a dotted name.

    Returns:
        The name that fairseq gave.
    """
    return ".".join(word for word in path.split(".") if word not in _WRAPPERS)


def read_metadata(value: object, file: str) -> ShardMetadata:
    """Read the metadata of one shard, every number in it checked.

    Args:
        value: what the file holds under one of `METADATA_KEYS`.
        file: the file's name, for messages.

    Returns:
        What the shard holds.

    Raises:
        UnreadableCheckpoint: if it is not what fairscale writes or contradicts itself.
    """
    try:
        return _read(value)
    except _Lies as error:
        raise UnreadableCheckpoint(f"its fsdp_metadata cannot be: {error}", subject=file, advice=HARM) from error


def _read(value: object) -> ShardMetadata:
    metadata = _mapping(value, "the whole")
    parameters: list[FlatParameter] = []
    shared: list[tuple[str, str]] = []
    for item in _list(metadata.get("param_metadata"), "param_metadata"):
        wrapper = _mapping(item, "an entry of param_metadata")
        path = clean(_text(wrapper.get("fsdp_path")))
        if wrapper.get("no_broadcast_optim_state"):
            raise _Lies(
                f"'{path[:80]}' has parameters that are no shards, as a mixture of experts has; RoBERTa has none"
            )
        parameters += _old_wrapper(wrapper, path) if "is_flat" in wrapper else _wrapper(wrapper, path)
        for pair in _list(wrapper.get("shared_param_info", []), "shared_param_info"):
            names = _list(pair, "an entry of shared_param_info")
            if len(names) != 2:
                raise _Lies("an entry of shared_param_info is no pair")
            shared.append((_join(path, clean(_text(names[0]))), _join(path, clean(_text(names[1])))))
    _refuse_duplicates([parameter.key for parameter in parameters])
    _refuse_duplicates([*(name for parameter in parameters for name in parameter.names), *(name for _, name in shared)])
    buffers = frozenset(clean(_text(name)) for name in _list(metadata.get("buffer_names", []), "buffer_names"))
    return ShardMetadata(tuple(parameters), tuple(shared), buffers)


def _wrapper(wrapper: dict[object, object], path: str) -> list[FlatParameter]:
    """Read one wrapper's flat parameters, as fairscale writes them since 0.3.9."""
    parameters = []
    for backing, item in _mapping(wrapper.get("params"), "params").items():
        facts = _mapping(item, "an entry of params")
        values = map(facts.get, ("names", "shapes", "numels", "padding"))
        parameters.append(_parameter(path, clean(_text(backing)), *values))
    return parameters


def _old_wrapper(wrapper: dict[object, object], path: str) -> list[FlatParameter]:
    """Read one wrapper as fairscale 0.3.7 wrote it: one flat parameter, or one for each of the module's own."""
    keys = ("param_names", "param_shapes", "param_numels", "num_padded")
    names, shapes, numels, paddings = (_list(wrapper.get(key), key) for key in keys)
    if wrapper["is_flat"]:
        if len(paddings) != 1:
            raise _Lies("num_padded does not fit one flat parameter")
        return [_parameter(path, "flat_param", names, shapes, numels, paddings[0])]
    if not len(names) == len(shapes) == len(numels) == len(paddings):
        raise _Lies("its lists are of different lengths")
    rows = zip(names, shapes, numels, paddings, strict=True)
    return [_parameter(path, clean(_text(name)), [name], [shape], [n], pad) for name, shape, n, pad in rows]


def _parameter(
    path: str, backing: str, names: object, shapes: object, numels: object, padding: object
) -> FlatParameter:
    full = tuple(_join(path, clean(_text(name))) for name in _list(names, "names"))
    sizes = tuple(_shape(shape) for shape in _list(shapes, "shapes"))
    counts = [_count(number) for number in _list(numels, "numels")]
    key = _join(path, backing)
    if not full or not len(full) == len(sizes) == len(counts):
        raise _Lies(f"'{key[:80]}' has {len(full)} names, {len(sizes)} shapes and {len(counts)} numels")
    for name, size, count in zip(full, sizes, counts, strict=True):
        if math.prod(size) != count:
            raise _Lies(f"'{name[:80]}' has shape {shown(size)} and {count} numbers")
        if count == 0:
            raise _Lies(f"'{name[:80]}' has no numbers")
    return FlatParameter(key, full, sizes, _count(padding))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _mapping(value: object, what: str) -> dict[object, object]:
    if not isinstance(value, dict):
        raise _Lies(f"{what} is no dictionary")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list | tuple):
        raise _Lies(f"{what} is no list")
    return list(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise _Lies(f"{shown(value)} is no name")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _LIMIT:
        raise _Lies(f"{shown(value)} is no count")
    return value


def _shape(value: object) -> tuple[int, ...]:
    sizes = tuple(_count(size) for size in _list(value, "a shape"))
    if len(sizes) > MAX_DIMENSIONS:
        raise _Lies(f"a shape has {len(sizes)} dimensions")
    return sizes


def _refuse_duplicates(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _Lies(f"'{name[:80]}' is there twice")
        seen.add(name)
