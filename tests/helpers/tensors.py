"""Tensors that exist in memory only, as source tensors."""

from __future__ import annotations

from torch import Tensor

from prenorm.rules import ComputedTensor


def in_memory(tensor: Tensor) -> ComputedTensor:
    """A source tensor that holds `tensor`."""
    return ComputedTensor(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), lambda: tensor)
