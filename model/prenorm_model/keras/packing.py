"""Where the tokens of a batch are: all of them row by row, or, where pads are left out, the real ones alone.

All of a layer but attention works token by token, so it works on [tokens, hidden]; attention alone sees rows. To leave pads
out takes sizes that depend on values, which only what is computed at once has: no `tf.function`, no `jax.jit`.
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
    """

    batch: Any
    length: Any
    index: Tensor | None = None
    places: Tensor | None = None
    real: Tensor | None = None

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
            [batch, length, ...], zero at pads that are left out.
        """
        states = self.unpack(x)
        return states if self.real is None else ops.where(self.real, states, ops.zeros_like(states))


def plan_packing(mask: Tensor | None, batch: Any, length: Any, min_pads: int | None = MIN_PADS) -> Packing:
    """Return the packing of a batch.

    Args:
        mask: [batch, length], zero at pads. Of a mask of another shape, of none, and inside a trace nothing is known.
        batch: number of sequences.
        length: number of tokens of a row.
        min_pads: below this many pads there is no gain; None: take all tokens in any case.

    Returns:
        The packing, of all tokens where leaving pads out would gain nothing.
    """
    plain = Packing(batch, length)
    if min_pads is None or mask is None or len(mask.shape) != 2 or not are_values_known(mask):
        return plain
    real = ops.convert_to_numpy(mask) != 0
    pads = real.size - int(real.sum())
    if pads < min_pads or pads < _MIN_SHARE * real.size or not real.any(axis=1).all():
        return plain
    flat = real.reshape(-1)
    places = np.where(flat, flat.cumsum() - 1, 0)
    index, places = (ops.convert_to_tensor(item.astype("int32")) for item in (flat.nonzero()[0], places))
    return Packing(batch, length, index, places, ops.convert_to_tensor(real[..., None]))
