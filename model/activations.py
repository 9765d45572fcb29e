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


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


def activation(named: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function that `hidden_act` names, or is."""
    return ACTIVATIONS[named] if isinstance(named, str) else named
