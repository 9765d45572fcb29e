"""What the layers of one forward are given, and what they leave behind."""

from __future__ import annotations

from typing import NamedTuple

import jax
from jax import Array

from prenorm_model.flax.cache import FlaxCache
from prenorm_model.flax.packing import FlaxPacking


class FlaxContext(NamedTuple):
    """What all layers of one forward are given, and none changes.

    Attributes:
        mask: bool [batch, 1, 1 or queries, keys], true where to attend; None: everywhere. Or what the caller gave with four
            dimensions; in floating point it is added to the scores.
        packing: the place of the real tokens, where the batch is computed without its pads.
        head_mask: [layers, 1, heads, 1, 1], multiplied with the attention weights.
        cross_states: [batch, encoder length, hidden], the encoder's states that the cross-attention looks at.
        cross_mask: bool [batch, 1, 1 or queries, encoder length], likewise.
        dropout_key: where the dropouts of this place draw from; None: there is no dropout.
    """

    mask: Array | None = None
    packing: FlaxPacking | None = None
    head_mask: Array | None = None
    cross_states: Array | None = None
    cross_mask: Array | None = None
    dropout_key: Array | None = None

    def at(self, place: int) -> FlaxContext:
        """Return the same for a part of the model, whose dropouts draw on their own.

        Args:
            place: the part's number among its siblings.

        Returns:
            The context.
        """
        return (
            self if self.dropout_key is None else self._replace(dropout_key=jax.random.fold_in(self.dropout_key, place))
        )


class FlaxCollected:
    """What the layers of one forward leave behind.

    Attributes:
        cache: takes the layers' keys and values; None where there is none.
        keeps_weights: whether the attention weights are wanted.
        attentions: the weights of each layer, [batch, heads, queries, keys], where they are wanted.
        cross_attentions: those of the cross-attention, [batch, heads, queries, encoder length].

    Args:
        cache: the one of earlier forwards; None where there is none.
        keeps_weights: whether the attention weights are wanted.
    """

    def __init__(self, cache: FlaxCache | None = None, *, keeps_weights: bool = False) -> None:
        self.cache = cache
        self.keeps_weights = keeps_weights
        self.attentions: list[Array] = []
        self.cross_attentions: list[Array] = []
