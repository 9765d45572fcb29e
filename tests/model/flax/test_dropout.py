"""The dropouts' own random bits: of every key, place and length they look drawn."""

from __future__ import annotations

import jax
import numpy as np
from jax import numpy as jnp

from prenorm_model.flax.dropout import drop, random_words

SIZE = 1 << 16


def bits_of(seed: int) -> np.ndarray:
    words = np.asarray(random_words(jax.random.key(seed), (16, SIZE // 16)))
    return (words.reshape(-1, 1) >> np.arange(32, dtype=np.uint32)) & 1


def test_bits_are_even_and_independent_of_places_and_keys() -> None:
    """Each share within five standard deviations of a half: of ones, of equal neighbours, of equals under another key."""
    bits, other = bits_of(0), bits_of(1)
    limit = 5 * 0.5 / SIZE**0.5
    assert np.abs(bits.mean(axis=0) - 0.5).max() < limit
    for distance in (1, 2, 16, 4096):
        assert np.abs((bits[distance:] == bits[:-distance]).mean(axis=0) - 0.5).max() < 1.1 * limit, distance
    assert np.abs((bits == other).mean(axis=0) - 0.5).max() < limit
    for shift in (1, 7, 31):
        assert np.abs((bits == np.roll(bits, shift, axis=1)).mean(axis=0) - 0.5).max() < limit, shift


def test_rates() -> None:
    x = jnp.ones((256, 256), jnp.float32)
    for rate in (0.1, 0.5, 0.9):
        dropped = np.asarray(drop(rate, x, jax.random.key(3)))
        assert set(np.unique(dropped)) == {0.0, np.float32(1 / (1 - rate))}
        spread = (rate * (1 - rate) / x.size) ** 0.5
        assert abs((dropped == 0).mean() - rate) < 5 * spread
        assert np.abs((dropped == 0).mean(axis=0) - rate).max() < 5 * 16 * spread
    assert drop(0, x, jax.random.key(3)) is x
    assert drop(0.5, x, None) is x
    assert not drop(1, x, jax.random.key(3)).any()
    assert drop(0.5, x.astype(jnp.bfloat16), jax.random.key(3)).dtype == jnp.bfloat16
