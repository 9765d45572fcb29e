"""What the checks, which know no framework, need to know of torch's tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm_model.checks import ArrayFacts


def are_values_known() -> bool:
    """Return whether the values of tensors may be looked at: a compiled graph has none while it is traced."""
    return not torch.compiler.is_compiling()


def shape_of(x: Tensor | None) -> tuple[int, ...] | None:
    """Return the shape of an optional tensor.

    Args:
        x: any shape.

    Returns:
        The shape; None for None.
    """
    return None if x is None else tuple(x.shape)


def facts_of(x: Tensor, *, ignored: int | None = None) -> ArrayFacts:
    """Return the facts of a tensor.

    Args:
        x: any shape and type.
        ignored: a value that counts neither as the smallest nor as the largest.

    Returns:
        Its shape, its kind of type, and the smallest and largest value of integers that may be looked at.
    """
    is_floating = x.is_floating_point()
    is_integer = not (is_floating or x.is_complex() or x.dtype == torch.bool)
    smallest = largest = None
    if is_integer and are_values_known():
        counted = x if ignored is None else x[x != ignored]
        if counted.numel():
            smallest, largest = (int(end) for end in torch.aminmax(counted))
    return ArrayFacts(tuple(x.shape), x.dtype, is_integer, is_floating, smallest, largest)
