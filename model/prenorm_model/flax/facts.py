"""What the checks, which know no framework, need to know of JAX's arrays."""

from __future__ import annotations

import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.core import Tracer

from prenorm_model.checks import ArrayFacts


def is_known(x: Array | np.ndarray) -> bool:
    """Return whether the values of an array may be looked at: inside a trace (jit, grad, vmap) there are none.

    Args:
        x: any shape.

    Returns:
        Whether they are there.
    """
    return not isinstance(x, Tracer)


def shape_of(x: Array | None) -> tuple[int, ...] | None:
    """Return the shape of an optional array.

    Args:
        x: any shape.

    Returns:
        The shape; None for None.
    """
    return None if x is None else tuple(x.shape)


def facts_of(x: Array | np.ndarray, *, ignored: int | None = None) -> ArrayFacts:
    """Return the facts of an array.

    Args:
        x: any shape and type.
        ignored: a value that counts neither as the smallest nor as the largest.

    Returns:
        Its shape, its kind of type, and the smallest and largest value of integers that may be looked at.
    """
    is_floating = bool(jnp.issubdtype(x.dtype, jnp.floating))
    is_integer = bool(jnp.issubdtype(x.dtype, jnp.integer))
    smallest = largest = None
    if is_integer and is_known(x):
        values = np.asarray(x)
        counted = values if ignored is None else values[values != ignored]
        if counted.size:
            smallest, largest = int(counted.min()), int(counted.max())
    return ArrayFacts(tuple(x.shape), x.dtype, is_integer, is_floating, smallest, largest)
