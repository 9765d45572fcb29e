"""Attention masks: from what a caller passes to what the attention takes."""

from __future__ import annotations

import numpy as np
from jax import Array
from jax import numpy as jnp

from prenorm_model.flax.facts import is_known


def full_mask(mask: Array) -> Array:
    """Return a mask of four dimensions as the attention takes it, which is as transformers reads it.

    Args:
        mask: [batch or 1, heads or 1, queries, keys]: in floating point added to the scores, else non-zero where to attend.

    Returns:
        The same shape, floating point or bool.
    """
    return mask if jnp.issubdtype(mask.dtype, jnp.floating) else mask.astype(bool)


def encoder_mask(mask: Array | None) -> Array | None:
    """Return the mask of bidirectional attention, or of cross-attention over the encoder's states.

    Args:
        mask: [batch, keys] or [batch, queries, keys], non-zero where to attend; None: everywhere. Of four dimensions: as
            `full_mask` reads it.

    Returns:
        [batch, 1, 1 or queries, keys], bool, true where to attend; None: everywhere. Of a mask of four dimensions that one.
    """
    if mask is None:
        return None
    if mask.ndim == 4:
        return full_mask(mask)
    if is_known(mask) and bool(np.asarray(mask).all()):
        return None
    attend = mask.astype(bool)
    attend = attend[:, None, None, :] if attend.ndim == 2 else attend[:, None]
    # A query that may look nowhere looks everywhere; its output means nothing.
    return attend | ~attend.any(axis=-1, keepdims=True)


def causal_mask(mask: Array | None, queries: int, past: Array | int, keys: int) -> Array:
    """Return the mask of a decoder: each query sees itself and what is before it, as far as `mask` lets it.

    Args:
        mask: [batch, keys or fewer] or [batch, queries, keys or fewer], non-zero where to attend; None: everywhere. Of four
            dimensions: as `full_mask` reads it, for then it is the whole mask.
        queries: how many tokens are computed now.
        past: how many are in the cache.
        keys: how many tokens there are to look at: in a cache its room, without one the queries.

    Returns:
        [1 or batch, 1, queries, keys], bool, true where to attend. Of a mask of four dimensions that one.
    """
    if mask is not None and mask.ndim == 4:
        return _widened(full_mask(mask), keys)
    rows = past + jnp.arange(queries)[:, None]
    columns = jnp.arange(keys)[None, :]
    attend = (columns <= rows)[None, None]
    if mask is not None:
        allowed = _widened(mask.astype(bool), keys)
        attend = attend & (allowed[:, None, None, :] if allowed.ndim == 2 else allowed[:, None])
        # A pad before the text sees nothing at all; it sees itself, as in PyTorch.
        attend = attend | (columns == rows)[None, None]
    return attend


def _widened(mask: Array, keys: int) -> Array:
    """Return a mask over all of a cache's room; what is behind the tokens, nothing may see."""
    missing = keys - mask.shape[-1]
    if not missing:
        return mask
    hidden = False if mask.dtype == bool else jnp.finfo(mask.dtype).min
    return jnp.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, missing)], constant_values=hidden)


def pads_come_first(mask: Array | None) -> bool:
    """Return whether some row starts with a pad, so that the output of its first token means nothing.

    Args:
        mask: [batch, length], zero at pads. Of a mask of three dimensions, of none, and inside a trace nothing is known.

    Returns:
        Whether that is known to be so.
    """
    return mask is not None and mask.ndim == 2 and is_known(mask) and not bool(np.asarray(mask)[:, 0].all())
