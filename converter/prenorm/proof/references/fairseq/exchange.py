"""Tensors that prenorm and the worker exchange, as safetensors files. What the worker writes is not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from prenorm.checkpoint.dtypes import ITEM_SIZES, SAFETENSORS_NAMES
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UsageProblem
from prenorm.folder.files import safetensors_header
from prenorm.options.spoken import spoken


def read_stage(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor] | None:
    """Read a stage that the worker wrote, and remove the file.

    Args:
        path: the file.
        shapes: the parts that it must have, and the first dimensions of each.

    Returns:
        The parts in float64; None unless they are the ones expected.
    """
    try:
        parts = load(path.read_bytes())
        path.unlink()
    except (OSError, SafetensorError):
        return None
    if parts.keys() != shapes.keys():
        return None
    if any(parts[part].shape[: len(shape)] != shape for part, shape in shapes.items()):
        return None
    return {part: tensor.double() for part, tensor in parts.items()}


def write_tensors(path: Path, tensors: Mapping[str, SourceTensor]) -> None:
    """Stream source tensors into a safetensors file, the widest types first, so that every tensor is aligned.

    Args:
        path: the file to make.
        tensors: the tensors by name.

    Raises:
        UsageProblem: if a tensor is of a type that has no name there, or there is no room.
    """
    odd = next((name for name, tensor in tensors.items() if tensor.dtype not in SAFETENSORS_NAMES), None)
    if odd is not None or "__metadata__" in tensors:
        raise UsageProblem(
            f"'{odd or '__metadata__'}' cannot be handed to fairseq",
            advice=f"Leave {spoken('reference', 'fairseq')} out",
        )
    ordered = sorted(tensors, key=lambda name: -ITEM_SIZES[tensors[name].dtype])
    header = safetensors_header((name, tensors[name].dtype, tensors[name].shape) for name in ordered)
    try:
        with path.open("wb") as file:
            file.write(header)
            for name in ordered:
                for piece in tensors[name].chunks():
                    file.write(piece)
                tensors[name].release()
    except OSError as error:
        raise UsageProblem(
            f"the tensors cannot be written for fairseq ({error.strerror})", advice="Free some space, or set TMPDIR"
        ) from error
