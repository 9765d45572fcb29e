"""What the layers of one forward are given, and what they leave behind."""

from __future__ import annotations

from dataclasses import dataclass

from prenorm_model.keras.cache import KeyValueCache
from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.packing import Packing


# No tuple: Keras looks into tuples that a layer is called with, and converts what they hold, layer by layer.
@dataclass(frozen=True)
class Context:
    """What all layers of one forward are given, and none changes.

    Attributes:
        packing: the place of the tokens in the batch.
        mask: bool [batch, 1, 1 or queries, keys], true where to attend; None: everywhere. Or what the caller gave with four
            dimensions; in floating point it is added to the scores.
        head_mask: [layers, 1, heads, 1, 1], multiplied with the attention weights.
        cross_states: [batch, encoder length, hidden], the encoder's states that the cross-attention looks at.
        cross_mask: bool [batch, 1, 1 or queries, encoder length], likewise.
    """

    packing: Packing
    mask: Tensor | None = None
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
        cache: with the keys and values of earlier forwards; None where none is wanted.
        keeps_weights: whether the attention weights are wanted.
    """

    def __init__(self, cache: KeyValueCache | None = None, *, keeps_weights: bool = False) -> None:
        self.cache = cache
        self.keeps_weights = keeps_weights
        self.attentions: list[Tensor] = []
        self.cross_attentions: list[Tensor] = []
