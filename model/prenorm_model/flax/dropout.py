"""Dropout whose random numbers cost next to nothing: a hash of each element's place and of the key.

JAX draws from threefry (Salmon et al. 2011, doi:10.1145/2063384.2063405), whose twenty rounds take, on a CPU, fifteen times
as long as the softmax of the same attention weights. Which element is dropped needs no such strength: two rounds of a
mixing function of 32 bits do, whose every output bit depends on every bit of the place and of the 64 bits drawn from the key.
"""

from __future__ import annotations

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp


def drop(rate: float, x: Array, key: Array | None) -> Array:
    """Apply a dropout, whose key comes from outside, since a model that is traced has no state.

    Args:
        rate: the probability by which an element becomes zero, 0 to 1; the others are divided by what is left of 1.
        x: any shape.
        key: where to draw from; None: there is no dropout.

    Returns:
        The same shape.
    """
    if key is None or rate == 0:
        return x
    if rate == 1:
        return jnp.zeros_like(x)
    kept = random_words(key, x.shape) >= np.uint32(min(round(rate * 2**32), 2**32 - 1))
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))


def random_words(key: Array, shape: tuple[int, ...]) -> Array:
    """Draw 32 random bits for every element.

    Args:
        key: where to draw from.
        shape: any; elements whose places differ by a multiple of 2**32 are drawn alike.

    Returns:
        uint32, of that shape.
    """
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    place, stride = jnp.zeros((), jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        place = place + lax.broadcasted_iota(jnp.uint32, shape, axis) * np.uint32(stride % 2**32)
        stride *= shape[axis]
    return _mixed(_mixed(place ^ first) + second)


def _mixed(words: Array) -> Array:
    """Mix the bits of words: the finalizer of MurmurHash3, a bijection (Appleby 2011)."""
    words = (words ^ (words >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    words = (words ^ (words >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return words ^ (words >> np.uint32(16))
