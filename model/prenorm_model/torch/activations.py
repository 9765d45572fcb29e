"""Torch's functions for the activations that a config can name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def gelu(x: Tensor) -> Tensor:
    """Return x * Phi(x), with the exact normal distribution (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    return functional.gelu(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """Return the tanh approximation of gelu, for which Hugging Face has five names, and fairseq `gelu_accurate`.

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    return functional.gelu(x, approximate="tanh")


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
    return functional.relu(x).square()


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_accurate": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_new": gelu_tanh,
    "gelu_python": gelu,
    "gelu_python_tanh": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "linear": linear,
    "relu": functional.relu,
    "relu2": squared_relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}


def activation(hidden_act: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the function that `hidden_act` names, or is.

    Args:
        hidden_act: one of `prenorm_model.config.ACTIVATIONS`, or a function of a tensor.

    Returns:
        A function of a tensor of any shape.
    """
    return FUNCTIONS[hidden_act] if isinstance(hidden_act, str) else hidden_act
