"""Padding-free execution: the real tokens of a batch in one row, so that pads cost next to nothing.

All of a layer but attention works token by token, so it can work on [tokens, hidden] as well; attention spreads queries, keys
and values out again. The number of tokens is a size, and compiled: it is rounded up, so that few sizes serve all batches.
Worth it where a good part of the batch is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jax import Array
from jax import numpy as jnp

from prenorm_model.flax.facts import is_known

# Below this many pads, and this share of them, gathering and spreading cost more than the pads.
MIN_PADS = 256
_MIN_SHARE = 0.1
_STEP = 64  # tokens to whose multiple their number is rounded up


@dataclass(frozen=True)
class FlaxPacking:
    """The place of the real tokens in a padded batch.

    Attributes:
        batch: number of sequences.
        length: number of tokens of a row of the batch, pads included.
        index: [tokens], where the real tokens are in the flattened batch, row by row; behind them, places outside the batch.
        fits: bool [], whether a caller's number of tokens is as large as the mask's; None: the mask itself said how many.
    """

    batch: int
    length: int
    index: Array
    fits: Array | None = None

    def pack(self, x: Array) -> Array:
        """Take the real tokens out of a padded batch.

        Args:
            x: [batch, length, ...].

        Returns:
            [tokens, ...], behind the real ones copies of the last token.
        """
        return jnp.take(x.reshape(self.batch * self.length, *x.shape[2:]), self.index, axis=0, mode="clip")

    def unpack(self, x: Array) -> Array:
        """Put the real tokens back into a padded batch.

        Args:
            x: [tokens, ...].

        Returns:
            [batch, length, ...], zero where the pads are.
        """
        padded = jnp.zeros((self.batch * self.length, *x.shape[1:]), x.dtype)
        spread = padded.at[self.index].set(x, mode="drop", indices_are_sorted=True, unique_indices=True)
        return spread.reshape(self.batch, self.length, *x.shape[1:])

    def unpack_states(self, x: Array) -> Array:
        """Put the tokens back into a padded batch that a caller will see.

        Args:
            x: [tokens, ...].

        Returns:
            [batch, length, ...], zero where the pads are; all NaN where a caller said fewer tokens than there are.
        """
        states = self.unpack(x)
        return states if self.fits is None else jnp.where(self.fits, states, jnp.asarray(jnp.nan, states.dtype))


def plan_packing(mask: Array | None, min_pads: int = MIN_PADS, tokens: int | None = None) -> FlaxPacking | None:
    """Return the packing of a batch.

    Args:
        mask: [batch, length], zero at pads. Of a mask of three dimensions, of none, and inside a trace nothing is known.
        min_pads: below this many pads there is no gain.
        tokens: how many real tokens there are at most, which makes it known inside a trace too; None: as the mask says.

    Returns:
        The packing; None where it would gain nothing.
    """
    if mask is None or mask.ndim != 2 or (tokens is None and not is_known(mask)):
        return None
    real = int(np.count_nonzero(np.asarray(mask))) if is_known(mask) else 0
    size = tokens or -(-real // _STEP) * _STEP
    pads = mask.size - size
    if pads < min_pads or pads < _MIN_SHARE * mask.size:
        return None
    # The places behind the last token differ from each other, as unique indices must, and lie outside the batch.
    places = jnp.nonzero(mask.reshape(-1), size=size, fill_value=mask.size)[0]
    outside = mask.size + jnp.arange(size, dtype=places.dtype)
    fits = None if tokens is None else jnp.count_nonzero(mask) <= size
    return FlaxPacking(mask.shape[0], mask.shape[1], jnp.where(places < mask.size, places, outside), fits)
