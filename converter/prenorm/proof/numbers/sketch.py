"""Sketches: a tensor's last dimension, thousands wide, as 32 sums with fixed signs.

What differs in the tensor differs in its sketch (all 32 sums would have to cancel), and a golden file stays small: the logits
of a large vocabulary are a thousand times their sketch. Signs come from SHAKE-256, so they are the same everywhere and for
ever (Johnson and Lindenstrauss 1984; Achlioptas 2003, with signs).
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import torch
from torch import Tensor

WIDTH = 32


@cache
def signs(width: int) -> Tensor:
    """Return the fixed signs for a width.

    Args:
        width: the values in a row.

    Returns:
        [width, 32] of +1 and -1, in float64.
    """
    raw = hashlib.shake_256(f"prenorm sketch of {width}".encode()).digest(width * WIDTH // 8)
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8)).reshape(width, WIDTH)
    return torch.from_numpy(bits.astype(np.float64) * 2 - 1)


def sketch(values: Tensor) -> Tensor:
    """Return the sketch of a tensor; of up to 32 columns it is the tensor itself.

    Args:
        values: [..., width], float64.

    Returns:
        [..., 32], float64.
    """
    width = values.shape[-1]
    return values if width <= WIDTH else values @ signs(width)
