"""What the layers of one forward are given, and what they leave behind."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.packing import Packing


class Context(NamedTuple):
    """What all layers of one forward are given, and none changes.

    Attributes:
        wide_bytes: how large the widest values of the feed-forward block may be, before they are computed in pieces.
        mask: bool [batch, 1, 1 or queries, keys], true where to attend; None: everywhere. Or what the caller gave with four
            dimensions; in floating point it is added to the scores.
        is_causal: whether the mask is plainly causal, which the fused kernel knows how to do without one.
        packing: the place of the real tokens, where the batch is computed without its pads.
        head_mask: [layers, 1, heads, 1, 1], multiplied with the attention weights.
        cross_states: [batch, encoder length, hidden], the encoder's states that the cross-attention looks at.
        cross_mask: bool [batch, 1, 1 or queries, encoder length], likewise.
    """

    wide_bytes: int
    mask: Tensor | None = None
    is_causal: bool = False
    packing: Packing | None = None
    head_mask: Tensor | None = None
    cross_states: Tensor | None = None
    cross_mask: Tensor | None = None


class Collected:
    """What the layers of one forward leave behind.

    Attributes:
        cache: takes the layers' keys and values, which later forwards look at; None where none is wanted.
        keeps_weights: whether the attention weights are wanted.
        attentions: the weights of each layer, [batch, heads, queries, keys], where they are wanted.
        cross_attentions: those of the cross-attention, [batch, heads, queries, encoder length].

    Args:
        cache: empty, or with the keys and values of earlier forwards; None where none is wanted.
        keeps_weights: whether the attention weights are wanted.
    """

    def __init__(self, cache: KeyValueCache | None = None, *, keeps_weights: bool = False) -> None:
        self.cache = cache
        self.keeps_weights = keeps_weights
        self.attentions: list[Tensor] = []
        self.cross_attentions: list[Tensor] = []
