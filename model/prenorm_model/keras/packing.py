"""Where the tokens of a batch are: all of them row by row, or, where pads are left out, the real ones alone.

All of a layer but attention works token by token, so it works on [tokens, hidden]; attention alone sees rows. To leave pads
out takes sizes that depend on values, which only what is computed at once has. A graph (`tf.function`, `jax.jit`) knows
shapes alone, and has to be given the number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from prenorm_model.keras.facts import Tensor, are_values_known

# Below this many pads, and this share of them, gathering costs more than the pads.
MIN_PADS = 256
_MIN_SHARE = 0.1


@dataclass(frozen=True)
class Packing:
    """The place of the tokens in a padded batch.

    Attributes:
        batch: number of sequences; a tensor where a graph leaves it open.
        length: number of tokens of a row of the batch, pads included; likewise.
        index: [tokens], where the real tokens are in the flattened batch; None: all tokens are taken, pads too.
        places: [batch * length], the number of the token at each place, any at pads; None likewise.
        real: [batch, length, 1], false at pads; None likewise.
        fits: whether a graph was told of as many tokens as there are; None: the mask itself said how many.
    """

    batch: Any
    length: Any
    index: Tensor | None = None
    places: Tensor | None = None
    real: Tensor | None = None
    fits: Tensor | None = None

    def pack(self, x: Tensor) -> Tensor:
        """Take the tokens out of a padded batch.

        Args:
            x: [batch, length, ...].

        Returns:
            [tokens, ...].
        """
        flat = ops.reshape(x, (-1, *x.shape[2:]))
        return flat if self.index is None else ops.take(flat, self.index, axis=0)

    def unpack(self, x: Tensor) -> Tensor:
        """Put the tokens back into a padded batch.

        Args:
            x: [tokens, ...].

        Returns:
            [batch, length, ...]; at pads that are left out, anything finite.
        """
        everywhere = x if self.places is None else ops.take(x, self.places, axis=0)
        # Of an open batch the length is enough, so that it stays known where it is.
        batch = self.batch if isinstance(self.batch, int) else -1
        return ops.reshape(everywhere, (batch, self.length, *x.shape[1:]))

    def unpack_states(self, x: Tensor) -> Tensor:
        """Put the tokens back into a padded batch that a caller will see.

        Args:
            x: [tokens, ...].

        Returns:
            [batch, length, ...], zero at pads that are left out; all NaN where a graph was told of too few tokens.
        """
        states = self.unpack(x)
        if self.real is None:
            return states
        states = ops.where(self.real, states, ops.zeros_like(states))
        return states if self.fits is None else ops.where(self.fits, states, ops.full_like(states, float("nan")))


def plan_packing(
    mask: Tensor | None, batch: Any, length: Any, min_pads: int | None = MIN_PADS, tokens: int | None = None
) -> Packing:
    """Return the packing of a batch.

    Args:
        mask: [batch, length], zero at pads. Of a mask of another shape, and of none, nothing is known.
        batch: number of sequences.
        length: number of tokens of a row.
        min_pads: below this many pads there is no gain; None: take all tokens in any case.
        tokens: how many real tokens there are at most, for a graph, in which the mask has no values.

    Returns:
        The packing, of all tokens where leaving pads out would gain nothing.
    """
    plain = Packing(batch, length)
    if min_pads is None or mask is None or len(mask.shape) != 2:
        return plain
    if not are_values_known(mask):
        return plain if tokens is None else _packing_inside(mask, plain, min_pads, tokens)
    real = ops.convert_to_numpy(mask) != 0
    if not _is_worth(real.size, int(real.sum()), min_pads) or not real.any(axis=1).all():
        return plain
    flat = real.reshape(-1)
    places = np.where(flat, flat.cumsum() - 1, 0)
    index, places = (ops.convert_to_tensor(item.astype("int32")) for item in (flat.nonzero()[0], places))
    return Packing(batch, length, index, places, ops.convert_to_tensor(real[..., None]))


def _is_worth(size: int, tokens: int, min_pads: int) -> bool:
    """Return whether leaving out what is no token gains something."""
    return size - tokens >= max(min_pads, _MIN_SHARE * size)


def _packing_inside(mask: Tensor, plain: Packing, min_pads: int, tokens: int) -> Packing:
    """Return the packing of a batch in a graph. Behind the real tokens, the first place stands as often as it takes."""
    size = plain.batch * plain.length
    if isinstance(size, int) and not _is_worth(size, tokens, min_pads):
        return plain
    real = ops.not_equal(mask, 0)
    flat = ops.reshape(real, (-1,))
    counts = ops.cumsum(ops.cast(flat, "int32"))
    places = ops.where(flat, ops.minimum(counts, tokens) - 1, 0)
    # Pads, and what is too much, go to the last slot, which is cut off.
    slots = ops.where(ops.logical_and(flat, counts <= tokens), places, tokens)
    index = ops.scatter(slots[:, None], ops.arange(ops.shape(flat)[0], dtype="int32"), (tokens + 1,))[:tokens]
    return Packing(plain.batch, plain.length, index, places, real[..., None], counts[-1] <= tokens)
