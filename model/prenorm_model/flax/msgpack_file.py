"""`flax_model.msgpack`, the file of transformers 4's Flax models: a tree of arrays, read without trust, and written.

The format is flax.serialization's: maps with text for keys, and arrays as an extension whose content is again msgpack: a
shape, the name of a type and the bytes; an array above 1 GB is a map of pieces. Whatever else a file holds is refused, every
size is held against the bytes that are there, and nothing is executed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from flax import serialization

from prenorm_model.flax.params import Path as TreePath
from prenorm_model.flax.params import Tree, flatten, unflatten

FLAX_FILE, FLAX_INDEX = "flax_model.msgpack", "flax_model.msgpack.index.json"

_ARRAY = 1  # flax' number of the extension; its others, complex numbers and numpy's scalars, are no parameters
_CHUNKED = "__msgpack_chunked_array__"
_TYPES = ("bfloat16", "float16", "float32", "float64")
# roberta-large has 400 arrays; a layer's map has at most six entries, a model's as many as it has layers.
_MOST_ENTRIES, _MOST_DIMENSIONS, _LONGEST_KEY = 100_000, 8, 1024


def read(path: Path) -> dict[TreePath, np.ndarray]:
    """Return the arrays of a file by their paths in the tree.

    Args:
        path: the file.

    Returns:
        The arrays, read-only, in the file's order.

    Raises:
        ValueError: if the file holds anything else, or is cut off.
    """
    content = path.read_bytes()
    try:
        tree = msgpack.unpackb(
            content, ext_hook=_array, raw=False, strict_map_key=True, max_ext_len=len(content), max_str_len=_LONGEST_KEY,
            max_bin_len=0, max_array_len=0, max_map_len=_MOST_ENTRIES,
        )  # fmt: skip
        if not isinstance(tree, dict):
            raise ValueError("it holds no tree of parameters")
        return flatten(_joined(tree))
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"{path} is no {FLAX_FILE} of Flax: {str(error) or type(error).__name__}") from error


def write(leaves: Mapping[TreePath, np.ndarray], path: Path) -> None:
    """Write a file as transformers 4 writes it.

    Args:
        leaves: the arrays by their paths in the tree.
        path: the file.
    """
    path.write_bytes(serialization.msgpack_serialize(unflatten(leaves), in_place=True))


def _array(code: int, content: bytes) -> np.ndarray:
    """Return the array of an extension, whose sizes must be those of its bytes."""
    if code != _ARRAY:
        raise ValueError(f"it holds an extension of type {code}, and no array")
    fields = msgpack.unpackb(
        content, raw=True, max_array_len=_MOST_DIMENSIONS, max_map_len=0, max_ext_len=0, max_str_len=len(content),
        max_bin_len=len(content),
    )  # fmt: skip
    if not isinstance(fields, list) or len(fields) != 3:
        raise ValueError("an array has not shape, type and bytes")
    shape, name, data = fields
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array has the shape {shape!r}")
    if not isinstance(name, bytes) or name.decode("ascii", "replace") not in _TYPES:
        raise ValueError(f"an array has the type {name!r}, not one of {', '.join(_TYPES)}")
    dtype = _numpy_type(name.decode("ascii"))
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} and type {dtype} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


def _numpy_type(name: str) -> np.dtype:
    """Return a type by its name; JAX needs ml_dtypes, which has bfloat16."""
    import ml_dtypes

    dtype: np.dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    return dtype


def _joined(tree: Tree) -> Tree:
    """Return the tree with the pieces of large arrays put together; a leaf that is no array is refused."""
    joined: Tree = {}
    for name, item in tree.items():
        if isinstance(item, dict):
            joined[name] = _join(name, item) if _CHUNKED in item else _joined(item)
        elif isinstance(item, np.ndarray):
            joined[name] = item
        else:
            raise ValueError(f"{name} is a {type(item).__name__}, not an array")
    return joined


def _join(name: str, pieces: Tree) -> np.ndarray:
    """Return the array of pieces, whose sizes must add up to its shape."""
    shape, chunks = _in_order(name, pieces.get("shape")), _in_order(name, pieces.get("chunks"))
    if not all(type(size) is int and size >= 0 for size in shape) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"{name} is in pieces, and has no shape")
    if not chunks or not all(isinstance(chunk, np.ndarray) and chunk.ndim == 1 for chunk in chunks):
        raise ValueError(f"{name} is in pieces that are no arrays")
    if len({chunk.dtype for chunk in chunks}) > 1 or sum(len(chunk) for chunk in chunks) != math.prod(shape):
        raise ValueError(f"the pieces of {name} do not make an array of shape {shape}")
    return np.concatenate(chunks).reshape(shape)


def _in_order(name: str, items: Any) -> list[Any]:
    """Return the values of a map whose keys are their numbers."""
    if not isinstance(items, dict) or set(items) != set(map(str, range(len(items)))):
        raise ValueError(f"{name} is in pieces that are not numbered")
    return [items[str(number)] for number in range(len(items))]
