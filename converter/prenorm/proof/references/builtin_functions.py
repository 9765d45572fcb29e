"""The functions that the built-in reference is made of, in plain operations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ComputedTokens:
    """The tokens of a batch that are computed.

    Attributes:
        kept: which, [batch, length].
    """

    kept: Tensor

    def pick(self, x: Tensor) -> Tensor:
        """Return the values of these tokens alone.

        Args:
            x: [batch, length, width].

        Returns:
            [tokens, width], without a copy if that is all.
        """
        return x.flatten(0, 1) if bool(self.kept.all()) else x[self.kept]

    def put_back(self, x: Tensor) -> Tensor:
        """Return the values in their places again.

        Args:
            x: [tokens, width].

        Returns:
            [batch, length, width], zero elsewhere.
        """
        if bool(self.kept.all()):
            return x.view(*self.kept.shape, -1)
        whole = x.new_zeros(*self.kept.shape, x.shape[-1])
        whole[self.kept] = x
        return whole


def sinusoids(rows: int, width: int, pad: int) -> Tensor:
    """Return fairseq's table of sines and cosines.

    Args:
        rows: the length of the table.
        width: the width of the model.
        pad: the pad's id, whose row is zero.

    Returns:
        [rows, width] in float32, as fairseq has it.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32) * -(math.log(10000) / (half - 1))
    angle = torch.outer(torch.arange(rows, dtype=torch.float32), exponents.exp())
    table = torch.hstack([angle.sin(), angle.cos()])
    table[pad] = 0.0
    return table


def activate(x: Tensor, name: str) -> Tensor:
    """Apply one of fairseq's activations; GELU and its tanh form after Hendrycks and Gimpel 2016 (arXiv:1606.08415).

    Args:
        x: any values.
        name: fairseq's name of it.

    Returns:
        Values of the same shape and type.

    Raises:
        ValueError: if there is none of that name.
    """
    if name == "gelu":
        return torch.erf(x * math.sqrt(0.5)).add_(1.0).mul_(x).mul_(0.5)
    if name in (
        "gelu_accurate",
        "gelu_fast",
        "gelu_new",
    ):  # one function: fairseq's two names of it, and Hugging Face's
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    if name in ("relu", "relu_squared"):
        kept = torch.where(x > 0, x, torch.zeros_like(x))
        return kept if name == "relu" else kept * kept
    if name == "tanh":
        return torch.tanh(x)
    if name == "linear":
        return x
    raise ValueError(f"the reference knows no activation {name!r}")
