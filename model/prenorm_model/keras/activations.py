"""Keras' functions for the activations that a config can name."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import ops

from prenorm_model.keras.facts import Tensor


def _is_double(x: Tensor) -> bool:
    """Return whether x is float64, for which TensorFlow's gelu rounds its constants to float32."""
    return bool(keras.backend.standardize_dtype(x.dtype) == "float64")


def gelu(x: Tensor) -> Tensor:
    """Return x * Phi(x), with the exact normal distribution (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    if _is_double(x):
        return 0.5 * x * (1 + ops.erf(x * math.sqrt(0.5)))
    return ops.gelu(x, approximate=False)


def gelu_tanh(x: Tensor) -> Tensor:
    """Return the tanh approximation of gelu, for which Hugging Face has five names, and fairseq `gelu_accurate`.

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    if _is_double(x):
        return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return ops.gelu(x, approximate=True)


def linear(x: Tensor) -> Tensor:
    """Return x itself: no activation.

    Args:
        x: any shape.

    Returns:
        x.
    """
    return x


def squared_relu(x: Tensor) -> Tensor:
    """Return max(x, 0)^2 (So et al. 2021, arXiv:2109.08668).

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    return ops.square(ops.relu(x))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_accurate": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_new": gelu_tanh,
    "gelu_python": gelu,
    "gelu_python_tanh": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "linear": linear,
    "relu": ops.relu,
    "relu2": squared_relu,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}


def activation(hidden_act: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the function that `hidden_act` names, or is.

    Args:
        hidden_act: one of `prenorm_model.config.ACTIVATIONS`, or a function of a tensor.

    Returns:
        A function of a tensor of any shape.
    """
    return FUNCTIONS[hidden_act] if isinstance(hidden_act, str) else hidden_act
