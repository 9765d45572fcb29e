"""The types of a tensor's numbers, by torch's names, which are also those of config.json's `dtype`.

Nothing here imports torch before a type of its own is asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class _Type(NamedTuple):
    """A type: torch's name, bytes per element, torch's old storage class, and the name in safetensors if it has one."""

    name: str
    size: int
    storage: str
    safetensors: str | None


_TYPES = (
    _Type("float64", 8, "DoubleStorage", "F64"),
    _Type("float32", 4, "FloatStorage", "F32"),
    _Type("float16", 2, "HalfStorage", "F16"),
    _Type("bfloat16", 2, "BFloat16Storage", "BF16"),
    _Type("int64", 8, "LongStorage", "I64"),
    _Type("int32", 4, "IntStorage", "I32"),
    _Type("int16", 2, "ShortStorage", "I16"),
    _Type("int8", 1, "CharStorage", "I8"),
    _Type("uint8", 1, "ByteStorage", "U8"),
    _Type("bool", 1, "BoolStorage", "BOOL"),
    _Type("complex64", 8, "ComplexFloatStorage", None),
    _Type("complex128", 16, "ComplexDoubleStorage", None),
)
ITEM_SIZES = {item.name: item.size for item in _TYPES}
STORAGE_TYPES = {item.storage: item.name for item in _TYPES} | {"UntypedStorage": "uint8"}
SAFETENSORS_NAMES = {item.name: item.safetensors for item in _TYPES if item.safetensors}
SAFETENSORS_TYPES = {written: name for name, written in SAFETENSORS_NAMES.items()}
FLOATING_TYPES = ("float64", "float32", "float16", "bfloat16")  # those that a model may be of


def byte_count(dtype: str, shape: tuple[int, ...]) -> int:
    """Count the bytes of a dense tensor.

    Args:
        dtype: torch's name of the type, one of `ITEM_SIZES`.
        shape: elements along each dimension.

    Returns:
        The number of bytes.
    """
    return math.prod(shape) * ITEM_SIZES[dtype]


def torch_dtype(name: str) -> torch.dtype:
    """Return torch's own object for a type.

    Args:
        name: torch's name of the type, one of `ITEM_SIZES`.

    Returns:
        For `float32`, `torch.float32`.
    """
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype
