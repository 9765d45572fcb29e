"""What the checks, which know no framework, need to know of Keras' tensors; and the tensors' type."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import numpy as np

from prenorm_model.checks import ArrayFacts


class Tensor(Protocol):
    """A tensor of Keras' backend, as far as these modules look at one; all else goes through `keras.ops`."""

    @property
    def shape(self) -> Any:
        """The sizes; one that a graph leaves open is None."""

    @property
    def dtype(self) -> Any:
        """The type, as the backend has it."""

    def __getitem__(self, key: Any) -> Any:
        """Return a part."""

    def __add__(self, other: Any) -> Any:
        """Add."""

    def __mul__(self, other: Any) -> Any:
        """Multiply."""

    def __rmul__(self, other: Any) -> Any:
        """Multiply."""


def are_values_known(*tensors: Tensor | None) -> bool:
    """Return whether the values of tensors may be looked at, and what is done depend on them.

    They may not in a `tf.function`, under `jax.jit`, in `torch.compile`, or where a functional model is put together.

    Args:
        *tensors: the tensors; None has no values, and is passed over.

    Returns:
        Whether all of them have values.
    """
    return all(_is_concrete(tensor) for tensor in tensors if tensor is not None)


def _is_concrete(tensor: Any) -> bool:
    """Return whether a tensor has values now: none of the backends' classes has to be imported for that."""
    if isinstance(tensor, np.ndarray):
        return True
    backend = keras.backend.backend()
    if isinstance(tensor, keras.KerasTensor) or any(kind.__name__ == "Tracer" for kind in type(tensor).__mro__):
        return False
    if backend == "tensorflow":
        return hasattr(tensor, "numpy")  # a graph's tensors have no such method
    if backend == "torch":
        import torch  # what a module of torch is compiled for, only torch can say

        return not (tensor.is_meta or torch.compiler.is_compiling())
    return True


def shape_of(x: Tensor | None) -> tuple[int, ...] | None:
    """Return the shape of an optional tensor.

    Args:
        x: any shape.

    Returns:
        The shape, in which None stands for a size that is open; None for None.
    """
    return None if x is None else _known_sizes(x)


def _known_sizes(x: Tensor) -> tuple[int, ...]:
    """Return a shape, in which None stands for a size that is open; JAX has symbols for such."""
    sizes: Any = tuple(size if isinstance(size, int) else None for size in x.shape)
    return sizes


def is_floating(x: Tensor) -> bool:
    """Return whether a tensor's type is a floating-point one.

    Args:
        x: any shape and type.

    Returns:
        Whether it is.
    """
    return bool(keras.backend.is_float_dtype(x.dtype))


def facts_of(x: Tensor, *, ignored: int | None = None) -> ArrayFacts:
    """Return the facts of a tensor.

    Args:
        x: any shape and type.
        ignored: a value that counts neither as the smallest nor as the largest.

    Returns:
        Its shape, its kind of type, and the smallest and largest value of integers that may be looked at.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    is_integer = bool(keras.backend.is_int_dtype(dtype))
    smallest = largest = None
    if is_integer and are_values_known(x):
        values = keras.ops.convert_to_numpy(x)
        counted = values if ignored is None else values[values != ignored]
        if counted.size:
            smallest, largest = int(counted.min()), int(counted.max())
    return ArrayFacts(_known_sizes(x), dtype, is_integer, is_floating(x), smallest, largest)
