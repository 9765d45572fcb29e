"""The activation functions a config can name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def gelu(x: Tensor) -> Tensor:
    """x * Phi(x), with the exact normal distribution (Hendrycks and Gimpel 2016, arXiv:1606.08415). Any shape."""
    return functional.gelu(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh approximation of gelu, `gelu_new` and `gelu_pytorch_tanh` to Hugging Face. Any shape."""
    return functional.gelu(x, approximate="tanh")


def linear(x: Tensor) -> Tensor:
    """x itself: no activation. Any shape."""
    return x


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)^2 (So et al. 2021, arXiv:2109.08668). Any shape."""
    return functional.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "linear": linear,
    "relu": functional.relu,
    "relu2": squared_relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


def activation(named: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function that `hidden_act` names, or is."""
    return ACTIVATIONS[named] if isinstance(named, str) else named
