"""What the checks, which know no framework, need to know of torch's tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm_model.checks import ArrayFacts


def are_values_known() -> bool:
    """Return whether the values of tensors may be looked at, and what is done depend on them.

    While a graph is compiled or exported there are none, and `torch.jit.trace` would take those of its example for all.

    Returns:
        False inside a compilation, an export and a trace.
    """
    return not (torch.compiler.is_compiling() or are_sizes_open())


def are_sizes_open() -> bool:
    """Return whether a graph is made that shall serve other sizes than those of its example: exported, or traced.

    Returns:
        True inside an export and a trace.
    """
    return torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


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
