"""What the tensors alone say: sizes, heads, positions, and whether the LM head's matrix is the embedding."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from prenorm.checkpoint.dtypes import FLOATING_TYPES
from prenorm.checkpoint.sameness import have_same_bytes
from prenorm.checkpoint.tensors import SourceTensor, bytes_of
from prenorm.errors import NotRepresentable, UnreadableCheckpoint
from prenorm.rules.rows import Moved
from prenorm.source.layouts import ENCODER, HEADS

TABLE = ENCODER + "embed_tokens.weight"
POSITIONS = ENCODER + "embed_positions.weight"
LM_MATRIX = "encoder.lm_head.weight"


@dataclass(frozen=True)
class HeadDescription:
    """A classification head: its name, inner width, number of outputs, and whether its output map has spectral norm."""

    name: str
    inner_size: int
    outputs: int
    spectral_norm: bool = False


def count_layers(tensors: Mapping[str, Moved]) -> int:
    """Count the layers.

    Args:
        tensors: the source tensors by canonical name.

    Returns:
        Their number.

    Raises:
        UnreadableCheckpoint: if they are not numbered from 0 without a gap.
    """
    pattern = re.compile(re.escape(ENCODER) + r"layers\.(\d+)\..*")
    numbers = {int(matched[1]) for key in tensors if (matched := pattern.fullmatch(key))}
    if not numbers or numbers != set(range(len(numbers))):
        gap = next((n for n in range(len(numbers) + 1) if n not in numbers), 0)
        raise UnreadableCheckpoint(
            f"the encoder's layers are not numbered from 0 without a gap: '{ENCODER}layers.{gap}' is missing",
            advice="The checkpoint is damaged or pruned",
        )
    return len(numbers)


def matrix(tensors: Mapping[str, Moved], key: str) -> tuple[int, int]:
    """Measure a weight that every model of this kind has.

    Args:
        tensors: the source tensors by canonical name.
        key: its canonical name.

    Returns:
        Its two sizes.

    Raises:
        UnreadableCheckpoint: if it is missing or no matrix.
    """
    item = tensors.get(key)
    if item is None:
        raise UnreadableCheckpoint(f"the tensor '{key}' is missing", advice="The checkpoint is incomplete")
    if len(item.tensor.shape) != 2 or 0 in item.tensor.shape:
        raise UnreadableCheckpoint(f"'{key}' has shape {list(item.tensor.shape)}; it must be a matrix")
    return item.tensor.shape[0], item.tensor.shape[1]


def common_dtype(tensors: Mapping[str, Moved]) -> str:
    """Find the narrowest type that holds every tensor's values.

    Args:
        tensors: the source tensors by canonical name.

    Returns:
        Theirs, or float32 (float64) where they are of several types.

    Raises:
        NotRepresentable: if a tensor is of no floating-point type.
    """
    types: dict[str, str] = {}
    for key, item in tensors.items():
        types.setdefault(item.tensor.dtype, item.source or key)
    quantized = next((name for name in types if name not in FLOATING_TYPES), None)
    if quantized is not None:
        raise NotRepresentable(
            f"'{types[quantized]}' is of type {quantized}: quantized weights compute something else than what they stand for",
            advice="Convert the checkpoint from before quantization",
        )
    if len(types) == 1:
        return next(iter(types))
    return "float64" if "float64" in types else "float32"


def is_tied(tensors: Mapping[str, Moved]) -> bool:
    """Say whether the LM head's matrix is the embedding.

    Args:
        tensors: the source tensors by canonical name.

    Returns:
        True for the same place in the file, the same bytes, or no matrix of its own.
    """
    head, table = tensors.get(LM_MATRIX), tensors.get(TABLE)
    return head is None or table is None or have_same_bytes(head.tensor, table.tensor)


def is_zero_row(item: Moved, row: int) -> bool:
    """Say whether a row of a matrix is zero throughout, as the pad's rows are in tables that fairseq trains.

    Args:
        item: the matrix.
        row: the row's number.

    Returns:
        True if the row is there and all its bytes are zero.
    """
    return row < item.tensor.shape[0] and not any(bytes_of(item.tensor.narrow(row, 1)))


def first_number(tensor: SourceTensor) -> float:
    """Read the first element of a floating-point tensor without torch.

    Args:
        tensor: the tensor.

    Returns:
        The number.

    Raises:
        UnreadableCheckpoint: if it has none, or is of another type.
    """
    raw = bytes_of(tensor.narrow(0, 1)) if tensor.shape else b""
    form = {"float64": "<d", "float32": "<f", "float16": "<e"}.get(tensor.dtype)
    if tensor.dtype == "bfloat16":  # the upper half of a float32
        form, raw = "<f", b"\0\0" + raw[:2]
    if form is None or len(raw) < struct.calcsize(form):
        raise UnreadableCheckpoint(
            f"a number of type {tensor.dtype} and shape {list(tensor.shape)} is none of fairseq's"
        )
    number: float = struct.unpack_from(form, raw)[0]
    return number


def classification_heads(tensors: Mapping[str, Moved]) -> tuple[HeadDescription, ...]:
    """Find the heads that fairseq's `register_classification_head` made.

    Args:
        tensors: the source tensors by canonical name.

    Returns:
        The heads, in the file's order.
    """
    heads = []
    for key, item in tensors.items():
        name = re.fullmatch(re.escape(HEADS) + r"([\w\-]{1,80})\.dense\.weight", key)
        if name is None or len(item.tensor.shape) != 2:
            continue
        at = f"{HEADS}{name[1]}.out_proj.weight"
        output, spectral = tensors.get(at), tensors.get(at + "_orig")
        last = output or spectral
        outputs = last.tensor.shape[0] if last is not None and last.tensor.shape else 0
        heads.append(HeadDescription(name[1], item.tensor.shape[0], outputs, output is None and spectral is not None))
    return tuple(heads)
