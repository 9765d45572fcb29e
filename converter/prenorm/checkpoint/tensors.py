"""Tensors of a checkpoint that stay in the file: shape, type and place now, numbers when asked for.

Nothing here imports torch at module level: `inspect` describes a 4 GB file in less time than torch takes to import.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from prenorm.checkpoint.container.mapped_file import ByteRange, MappedFile
from prenorm.checkpoint.dtypes import ITEM_SIZES, torch_dtype
from prenorm.checkpoint.limits import MAX_DIMENSIONS
from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import UnreadableCheckpoint

if TYPE_CHECKING:
    import torch

_MOST_ELEMENTS = 1 << 62


@dataclass(frozen=True)
class Storage:
    """One storage of the checkpoint: `numel` elements of type `dtype` at `span` of the file.

    In the legacy container the places are written behind the pickle, so `span` is filled in after it was read.
    """

    key: str
    dtype: str
    numel: int


class SourceTensor(Protocol):
    """A tensor of the source whose numbers are read when asked for: `LazyTensor`, or one of `rules/derived.py`."""

    @property
    def dtype(self) -> str:
        """torch's name of the type, without `torch.`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along each dimension."""

    @property
    def views(self) -> tuple[LazyTensor, ...]:
        """The tensors in files that it is made of."""

    def narrow(self, start: int, length: int) -> SourceTensor:
        """View some rows of dimension 0.

        Args:
            start: the first row.
            length: how many.

        Returns:
            The rows as a tensor.
        """

    def read(self) -> torch.Tensor:
        """Read the numbers.

        Returns:
            The tensor in memory, or as a view of the mapped file.
        """

    def chunks(self) -> Iterator[memoryview]:
        """Read the bytes in row-major order.

        Returns:
            An iterator of the bytes in pieces.
        """

    def release(self) -> None:
        """Take pages that were read out of this process's memory."""


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is still in the file. `offset` and `stride` count elements, as in torch."""

    file: MappedFile
    span: ByteRange
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def __repr__(self) -> str:
        return f"<LazyTensor {self.dtype} {list(self.shape)}>"

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in order and without gaps."""
        return self.stride == contiguous_stride(self.shape) or self.numel <= 1

    @property
    def place(self) -> ByteRange:
        """The bytes from the first to the last element."""
        size = ITEM_SIZES[self.dtype]
        if self.numel == 0:
            return ByteRange(self.span.start, 0)
        last = sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        return ByteRange(self.span.start + self.offset * size, (last + 1) * size)

    @property
    def views(self) -> tuple[LazyTensor, ...]:
        """This tensor alone."""
        return (self,)

    def narrow(self, start: int, length: int) -> LazyTensor:
        """View some rows of dimension 0.

        Args:
            start: the first row.
            length: how many.

        Returns:
            The rows as a tensor that is still in the file.

        Raises:
            ValueError: if the tensor has no such rows.
        """
        if not self.shape or start < 0 or length < 0 or start + length > self.shape[0]:
            raise ValueError(f"rows {start} to {start + length} of a tensor of shape {self.shape}")
        return replace(self, shape=(length, *self.shape[1:]), offset=self.offset + start * self.stride[0])

    def read(self) -> torch.Tensor:
        """View the mapped file as a tensor: no copy, and no page is read before it is used.

        Returns:
            The tensor, of this type and shape.
        """
        import torch

        dtype = torch_dtype(self.dtype)
        if self.numel == 0:
            return torch.empty(self.shape, dtype=dtype)
        self.file.need(self.place)
        flat = torch.frombuffer(self.file.map, dtype=dtype, count=self._reach, offset=self.place.start)
        return flat.as_strided(self.shape, self.stride)

    def chunks(self) -> Iterator[memoryview]:
        """Read the bytes in row-major order, from the file as they lie where that is the order they lie in.

        Yields:
            memoryview: the next piece.
        """
        if self.is_contiguous:
            yield from self.file.chunks(self.place)
        else:
            yield tensor_bytes(self.read())

    def release(self) -> None:
        """Take the tensor's pages out of this process's memory; see `MappedFile.release`."""
        self.file.release(self.place)

    @property
    def _reach(self) -> int:
        return self.place.size // ITEM_SIZES[self.dtype]


def fetch(tensors: Iterable[SourceTensor]) -> None:
    """Have tensors there that will be read: what of them lies on the Hub is fetched, in few requests.

    Args:
        tensors: the tensors; of those in local files nothing is read.

    Raises:
        UnreadableCheckpoint: if they do not lie where the file says.
        HubProblem: if they cannot be had.
    """
    for file, spans in storages(tensors).items():
        file.fetch(spans)


def storages(tensors: Iterable[SourceTensor]) -> dict[MappedFile, list[ByteRange]]:
    """Return where the storages of tensors lie.

    Args:
        tensors: the tensors.

    Returns:
        Each storage once, in order, by the files that they lie in.
    """
    places: dict[MappedFile, set[ByteRange]] = {}
    for view in (view for tensor in tensors for view in tensor.views):
        places.setdefault(view.file, set()).add(view.span)
    return {file: sorted(spans, key=lambda span: (span.start, span.size)) for file, spans in places.items()}


def bytes_of(tensor: SourceTensor) -> bytes:
    """Copy the bytes of a small tensor, or of a few rows of a large one.

    Args:
        tensor: the tensor.

    Returns:
        The elements' bytes in row-major order.
    """
    return b"".join(map(bytes, tensor.chunks()))


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """View the elements of a tensor in memory as bytes in row-major order.

    Args:
        tensor: a dense or strided tensor.

    Returns:
        Its bytes; a copy only where the elements do not lie in that order.
    """
    import torch

    # `contiguous` leaves the strides of dimensions of one element as they are, which a view as bytes does not take.
    flat: memoryview = tensor.contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().data
    return flat


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Compute the stride of a dense row-major tensor.

    Args:
        shape: elements along each dimension.

    Returns:
        The stride along each dimension, in elements.
    """
    stride = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        stride[axis] = stride[axis + 1] * max(shape[axis + 1], 1)
    return tuple(stride)


def check_view(
    storage: Storage, offset: object, shape: object, stride: object
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Hold a tensor's claims against its storage.

    Args:
        storage: what it is a view of.
        offset: its first element, as the file claims.
        shape: elements along each dimension, as the file claims.
        stride: steps along each dimension, as the file claims.

    Returns:
        Offset, shape and stride, as numbers.

    Raises:
        UnreadableCheckpoint: if a number is not a small non-negative integer or an element lies outside the storage.
    """
    sizes, steps = _as_ints(shape), _as_ints(stride)
    if sizes is None or steps is None or len(sizes) != len(steps) or not _is_count(offset):
        raise _impossible(storage, offset, shape, stride)
    assert isinstance(offset, int)
    numel = math.prod(sizes)
    if math.prod(max(size, 1) for size in sizes) >= _MOST_ELEMENTS:  # torch cannot make even an empty tensor of it
        raise _impossible(storage, offset, shape, stride)
    last = offset + sum((n - 1) * s for n, s in zip(sizes, steps, strict=True)) if numel else 0
    # A stride of 0 can make a huge tensor of a tiny storage: fairseq saves none, and it would be a way to fill memory.
    if numel and (last >= storage.numel or numel > storage.numel):
        raise _impossible(storage, offset, shape, stride)
    return offset, sizes, steps


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_ELEMENTS


def _as_ints(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, tuple | list) or len(value) > MAX_DIMENSIONS or not all(map(_is_count, value)):
        return None
    return tuple(value)


def _impossible(storage: Storage, offset: object, shape: object, stride: object) -> UnreadableCheckpoint:
    claim = f"offset {shown(offset)}, shape {shown(shape)}, stride {shown(stride)}"
    return UnreadableCheckpoint(
        f"a tensor claims to lie outside its storage ({claim}; storage '{storage.key}' has {storage.numel} elements)",
        advice="The file is damaged or was made to do harm; do not use it",
    )
