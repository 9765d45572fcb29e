"""Weights in safetensors as numpy arrays: mapped from the files that hold them, and written into such."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # what looks at weights imports numpy; what looks at a configuration does not
    import numpy as np
    from huggingface_hub.serialization._base import StateDictSplit

Shape = tuple[int, ...]

_NUMPY_TYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64", "C64": "complex64",
}  # fmt: skip
_ML_TYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"}


class StoredWeight(NamedTuple):
    """Where a weight lies.

    Attributes:
        path: the file.
        dtype: its type, as safetensors names it.
        shape: its sizes.
        start: its first byte in the file.
    """

    path: Path
    dtype: str
    shape: Shape
    start: int


class StoredWeights(Mapping[str, "np.ndarray"]):
    """The weights of safetensors files, by name. Each access maps a weight anew, and nothing is read before it is used.

    What is dropped leaves the memory, so that copying weight by weight needs the memory of one.

    Args:
        paths: the files; of a name that several hold, the last one's weight counts.

    Raises:
        safetensors.SafetensorError: if a file is none of safetensors, is cut off, or its header lies about it.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._entries = {name: entry for path in paths for name, entry in _entries(path)}

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every weight, by its name."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a weight, read-only; one of a type that numpy does not have is a ValueError."""
        import numpy as np

        entry = self._entries[name]
        dtype = _numpy_type(name, entry)
        if 0 in entry.shape:  # which cannot be mapped
            return np.empty(entry.shape, dtype)
        return np.memmap(entry.path, dtype, "r", entry.start, entry.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def save_weights(weights: Mapping[str, np.ndarray], path: Path) -> None:
    """Write one safetensors file.

    Args:
        weights: the arrays by name, in PyTorch's shapes: that is what a reader takes them for.
        path: the file.
    """
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(weight) for name, weight in weights.items()}, path, metadata={"format": "pt"})


def plan_shards(weights: Mapping[str, np.ndarray], pattern: str, max_shard_size: int | str) -> StateDictSplit:
    """Return which weights go into which file.

    Args:
        weights: the arrays by name.
        pattern: the files' name, with "{suffix}" where their number goes.
        max_shard_size: what a file may hold, in bytes or as text such as "5GB".

    Returns:
        The plan.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    return split_state_dict_into_shards_factory(
        dict(weights), get_storage_size=lambda weight: int(weight.nbytes), filename_pattern=pattern,
        max_shard_size=max_shard_size,
    )  # fmt: skip


def _entries(path: Path) -> Iterator[tuple[str, StoredWeight]]:
    """Yield the weights of a file, whose header the library checks against the file: sizes, offsets, no gaps."""
    from safetensors import safe_open

    with safe_open(path, framework="np"):
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    for name, entry in header.items():
        if name != "__metadata__":
            yield name, StoredWeight(path, entry["dtype"], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0])


def _numpy_type(name: str, entry: StoredWeight) -> np.dtype:
    """Return numpy's type for a weight; those that it lacks come from ml_dtypes."""
    import numpy as np

    if entry.dtype in _NUMPY_TYPES:
        return np.dtype(_NUMPY_TYPES[entry.dtype]).newbyteorder("<")
    if entry.dtype not in _ML_TYPES:
        raise ValueError(f"{name} in {entry.path} has type {entry.dtype}, which numpy does not have")
    try:
        import ml_dtypes
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name} in {entry.path} has type {_ML_TYPES[entry.dtype]}, which numpy has with ml_dtypes only: "
            "pip install ml_dtypes"
        ) from error
    dtype: np.dtype = np.dtype(getattr(ml_dtypes, _ML_TYPES[entry.dtype]))
    return dtype
