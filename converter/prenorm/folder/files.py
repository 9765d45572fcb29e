"""Writing the folder's files: streamed safetensors, JSON, text. Their modes follow the umask."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.checkpoint.dtypes import SAFETENSORS_NAMES, byte_count, torch_dtype
from prenorm.checkpoint.tensors import SourceTensor, tensor_bytes
from prenorm.errors import UnreadableCheckpoint
from prenorm.files import INDEX_FILE, WEIGHTS_FILE
from prenorm.options.spoken import spoken
from prenorm.rules.rows import Row

if TYPE_CHECKING:
    import torch

MAX_SHARD_BYTES = 5_000_000_000  # the Hub's and transformers' usual shard size

Tick = Callable[[int], None]


def row_nbytes(row: Row) -> int:
    """Return the bytes of a row's target tensor.

    Args:
        row: a row of the plan.

    Returns:
        Its size in the file.
    """
    return byte_count(row.dtype, row.shape)


def write_weights(folder: Path, rows: Sequence[Row], *, source: str, allow_nonfinite: bool, tick: Tick) -> None:
    """Write the planned tensors, one at a time: `model.safetensors`, or shards and their index.

    On the way, each tensor is searched for NaN and infinity.

    Args:
        folder: the folder to write into.
        rows: the rows of the plan, one for each target tensor.
        source: the checkpoint's name, for messages.
        allow_nonfinite: whether tensors may hold NaN or infinity.
        tick: called with the number of bytes written since the last call.

    Raises:
        UnreadableCheckpoint: if some hold NaN or infinity, and that is not allowed.
    """
    shards = _shards(rows)
    nonfinite: dict[str, None] = {}  # the source tensors that are not finite, in order
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = WEIGHTS_FILE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_safetensors(folder / name, shard, nonfinite, tick)
        weight_map |= {row.target: name for row in shard}
    if nonfinite and not allow_nonfinite:
        raise UnreadableCheckpoint(
            f"{len(nonfinite)} tensors hold NaN or infinity, so parity could not be judged",
            subject=source,
            problems=[f"'{key}'" for key in nonfinite],
            advice=f"Use an earlier checkpoint of the run, or pass {spoken('allow_nonfinite')} to convert without a verdict:",
        )
    if len(shards) > 1:
        total = sum(row_nbytes(row) for row in rows)
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        write_json(folder / INDEX_FILE, content)


def _shards(rows: Sequence[Row]) -> list[list[Row]]:
    shards: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        if shards[-1] and size + row_nbytes(row) > MAX_SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(row)
        size += row_nbytes(row)
    return shards


def _write_safetensors(path: Path, rows: Sequence[Row], nonfinite: dict[str, None], tick: Tick) -> None:
    """Write one safetensors file: its header, and the tensors in the header's order."""

    def pieces() -> Iterator[bytes | memoryview]:
        yield safetensors_header((row.target, row.dtype, row.shape) for row in rows)
        for row in rows:
            yield from _row_pieces(row, nonfinite)

    _write_file(path, pieces(), tick)


def safetensors_header(tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> bytes:
    """Return what a safetensors file begins with: the header's length, and the header in JSON (format: safetensors 0.x).

    Args:
        tensors: name, type and shape of each, in the order of their bytes.

    Returns:
        Bytes up to the first tensor's, which start on a multiple of 8, as the reference writer does it.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, dtype, shape in tensors:
        end = at + byte_count(dtype, shape)
        header[name] = {"dtype": SAFETENSORS_NAMES[dtype], "shape": list(shape), "data_offsets": [at, end]}
        at = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw


def _row_pieces(row: Row, nonfinite: dict[str, None]) -> Iterator[bytes | memoryview]:
    """Inspect the values of one target tensor, and yield its bytes in pieces."""
    if row.moved is not None and not _is_finite(row.moved.tensor):
        nonfinite[row.source or row.target] = None
    yield from row_pieces(row)


def row_pieces(row: Row) -> Iterator[bytes | memoryview]:
    """Yield the bytes of one target tensor in pieces, and release the memory of its source.

    Args:
        row: a row of the plan.

    Yields:
        bytes | memoryview: the next piece, little-endian, rows first.
    """
    import torch

    dtype = torch_dtype(row.dtype)
    if row.moved is not None:
        yield from row.moved.tensor.chunks()
    else:
        base = (row.shape[0] - row.extra_rows, *row.shape[1:])
        yield tensor_bytes(torch.full(base, row.fill, dtype=dtype))
    if row.extra_rows:
        yield tensor_bytes(_extra_rows(row, dtype))
    if row.moved is not None:
        row.moved.tensor.release()


def _extra_rows(row: Row, dtype: torch.dtype) -> torch.Tensor:
    import torch

    shape = (row.extra_rows, *row.shape[1:])
    if row.extra_from is None or row.moved is None:
        return torch.full(shape, row.extra_fill, dtype=dtype)
    return row.moved.tensor.narrow(row.extra_from, 1).read().expand(shape).contiguous()


def _is_finite(tensor: SourceTensor) -> bool:
    import torch

    values = tensor.read()
    if not values.is_floating_point() or not values.numel():
        return True
    # One pass and no copy: both ends are finite exactly if everything between them is a number.
    low, high = torch.aminmax(values)
    return bool(torch.isfinite(low) and torch.isfinite(high))


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write indented JSON.

    Args:
        path: a file that does not exist.
        content: the JSON object.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text.

    Args:
        path: a file that does not exist.
        text: its content.
    """
    _write_file(path, iter([text.encode("utf-8")]), lambda size: None)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file.

    Args:
        path: a file that does not exist.
        content: its content.
    """
    _write_file(path, iter([content]), lambda size: None)


def _write_file(path: Path, pieces: Iterator[bytes | memoryview], tick: Tick) -> None:
    """Write a new file. `staging.publish` waits until it is on the disk."""
    with path.open("xb", buffering=0) as handle:
        for piece in pieces:
            view = memoryview(piece).cast("B")
            written = 0
            while written < len(view):  # an unbuffered write may take less than it is given
                written += handle.write(view[written:])
            tick(len(view))
