"""JAX's functions for the activations that a config can name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
from jax import Array, nn
from jax import numpy as jnp

# With the exact normal distribution (Hendrycks and Gimpel 2016, arXiv:1606.08415); and the tanh approximation of it, for
# which Hugging Face has five names, and fairseq `gelu_accurate`.
gelu = partial(nn.gelu, approximate=False)
gelu_tanh = partial(nn.gelu, approximate=True)


def linear(x: Array) -> Array:
    """Return x itself: no activation.

    Args:
        x: any shape.

    Returns:
        x.
    """
    return x


def squared_relu(x: Array) -> Array:
    """Return max(x, 0)^2 (So et al. 2021, arXiv:2109.08668).

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    return jnp.square(jax.nn.relu(x))


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_accurate": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_new": gelu_tanh,
    "gelu_python": gelu,
    "gelu_python_tanh": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "linear": linear,
    "relu": nn.relu,
    "relu2": squared_relu,
    "silu": nn.silu,
    "swish": nn.silu,
    "tanh": jnp.tanh,
}


def activation(hidden_act: str | Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return the function that `hidden_act` names, or is.

    Args:
        hidden_act: one of `prenorm_model.config.ACTIVATIONS`, or a function of an array.

    Returns:
        A function of an array of any shape.
    """
    return FUNCTIONS[hidden_act] if isinstance(hidden_act, str) else hidden_act
