"""What the models return: typed, with the documented fields."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BaseModelOutput:
    """`last_hidden_state` [batch, length, hidden], after the final norm."""

    last_hidden_state: Tensor


@dataclass(frozen=True)
class MaskedLMOutput:
    """`logits` [batch, length, vocab]."""

    logits: Tensor
