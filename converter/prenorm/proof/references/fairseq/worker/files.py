"""Tensors come and go as safetensors files: nothing is unpickled."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import torch

# The worker's interpreter has no prenorm, so these names stand here once more.
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
          "BOOL": "?"}  # fmt: skip
_NAMES = {torch.float64: "F64", torch.float32: "F32"}


def read_tensors(path: str) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Args:
        path: the file.

    Returns:
        Its tensors as views of the mapped file; bfloat16 as float32, which holds all its values.
    """
    data = np.memmap(path, dtype=np.uint8, mode="c")
    length = struct.unpack("<Q", data[:8].tobytes())[0]
    header = json.loads(data[8 : 8 + length].tobytes().decode("utf-8"))
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        raw = data[8 + length + start : 8 + length + stop]
        if entry["dtype"] == "BF16":  # the upper half of a float32; numpy has no such type
            values = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = raw.view(_NUMPY[entry["dtype"]])
        tensors[name] = torch.from_numpy(np.asarray(values)).reshape(entry["shape"])
    return tensors


def write_tensors(path: str, tensors: dict[str, torch.Tensor]) -> None:
    """Write a safetensors file.

    Args:
        path: the file, which must not exist.
        tensors: float32 or float64.
    """
    header, at = {}, 0
    for name, tensor in tensors.items():
        size = byte_count(tensor)
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    with Path(path).open("xb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().data)


def byte_count(tensor: torch.Tensor) -> int:
    """Count the bytes of a tensor.

    Args:
        tensor: any tensor.

    Returns:
        The number of bytes.
    """
    return tensor.numel() * tensor.element_size()
