"""Source tensors that are not one view of one file: put together from pieces, or computed from others.

Like `LazyTensor` they cost nothing until they are read; the numbers exist for as long as the caller keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prenorm.checkpoint.dtypes import torch_dtype
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor, tensor_bytes

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ComputedTensor:
    """What `compute` makes of `inputs`; it must give a tensor of this type and shape, the same one each time."""

    dtype: str
    shape: tuple[int, ...]
    compute: Callable[[], torch.Tensor]
    inputs: tuple[SourceTensor, ...] = ()

    @property
    def views(self) -> tuple[LazyTensor, ...]:
        """The tensors in files that it is computed from."""
        return tuple(view for part in self.inputs for view in part.views)

    def narrow(self, start: int, length: int) -> ComputedTensor:
        """View some rows of dimension 0.

        Args:
            start: the first row.
            length: how many.

        Returns:
            The rows as a tensor.
        """
        return ComputedTensor(
            self.dtype, (length, *self.shape[1:]), lambda: self.read()[start : start + length], self.inputs
        )

    def read(self) -> torch.Tensor:
        """Compute the numbers anew.

        Returns:
            The tensor, of this type and shape.
        """
        computed = self.compute()
        assert (str(computed.dtype), tuple(computed.shape)) == (f"torch.{self.dtype}", self.shape)
        return computed

    def chunks(self) -> Iterator[memoryview]:
        """Read the bytes in row-major order.

        Yields:
            memoryview: all bytes in one piece.
        """
        yield tensor_bytes(self.read())

    def release(self) -> None:
        """Take the inputs' pages out of this process's memory."""
        for part in self.inputs:
            part.release()


@dataclass(frozen=True)
class JoinedTensor:
    """`parts`, one after another along dimension `axis`. All are of one type.

    Along dimension 0 they may be rows of it, or pieces of its numbers in row-major order; they are seen in `shape`.
    """

    parts: tuple[SourceTensor, ...]
    axis: int
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """The parts' type."""
        return self.parts[0].dtype

    @property
    def views(self) -> tuple[LazyTensor, ...]:
        """The tensors in files that the parts are."""
        return tuple(view for part in self.parts for view in part.views)

    def narrow(self, start: int, length: int) -> JoinedTensor:
        """View some rows of dimension 0, which touches only the parts that they lie in.

        Args:
            start: the first row.
            length: how many.

        Returns:
            The rows as a tensor.
        """
        shape = (length, *self.shape[1:])
        if self.axis:
            return JoinedTensor(tuple(part.narrow(start, length) for part in self.parts), self.axis, shape)
        row = math.prod(self.shape[1:])
        begin, end = start * row, (start + length) * row
        pieces = []
        for part in self.parts:
            size, unit = math.prod(part.shape), math.prod(part.shape[1:])
            low, high = max(begin, 0), min(end, size)
            if low < high:
                assert low % unit == 0 and high % unit == 0, "the parts' rows are no whole rows of the tensor's"
                pieces.append(part.narrow(low // unit, (high - low) // unit))
            begin, end = begin - size, end - size
        return JoinedTensor(tuple(pieces) or (self.parts[0].narrow(0, 0),), 0, shape)

    def read(self) -> torch.Tensor:
        """Join the numbers, in memory of their own.

        Returns:
            The tensor, of this type and shape.
        """
        import torch

        return torch.cat([part.read() for part in self.parts], dim=self.axis).reshape(self.shape)

    def chunks(self) -> Iterator[memoryview]:
        """Read the bytes in row-major order.

        Yields:
            memoryview: the next piece; along dimension 0 they are those of one part after another.
        """
        if self.axis == 0:
            for part in self.parts:
                yield from part.chunks()
        else:
            yield tensor_bytes(self.read())

    def release(self) -> None:
        """Take the parts' pages out of this process's memory."""
        for part in self.parts:
            part.release()


def cast(tensor: SourceTensor, dtype: str) -> ComputedTensor:
    """Turn a tensor to another floating-point type, rounded or widened.

    Args:
        tensor: the tensor.
        dtype: torch's name of the new type.

    Returns:
        The tensor in that type, computed when it is read.
    """

    def compute() -> torch.Tensor:
        return tensor.read().to(torch_dtype(dtype))

    return ComputedTensor(dtype, tensor.shape, compute, (tensor,))
