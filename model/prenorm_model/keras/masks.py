"""Attention masks: from what a caller passes to what the attention takes."""

from __future__ import annotations

from typing import Any

from keras import ops

from prenorm_model.checks import is_shape
from prenorm_model.keras.facts import Tensor, are_values_known, is_floating


def as_bool(mask: Tensor) -> Tensor:
    """Return a mask as truth values.

    Args:
        mask: any shape, non-zero where to attend.

    Returns:
        The same shape, bool.
    """
    return ops.not_equal(mask, 0) if ops.dtype(mask) != "bool" else mask


def full_mask(mask: Tensor) -> Tensor:
    """Return a mask of four dimensions as the attention takes it, which is as transformers reads it.

    Args:
        mask: [batch or 1, heads or 1, queries, keys]: in floating point added to the scores, else non-zero where to attend.

    Returns:
        The same shape, floating point or bool.
    """
    return mask if is_floating(mask) else as_bool(mask)


def encoder_mask(mask: Tensor | None) -> Tensor | None:
    """Return the mask of bidirectional attention, or of cross-attention over the encoder's states.

    Args:
        mask: [batch, keys] or [batch, queries, keys], non-zero where to attend; None: everywhere. Of four dimensions: as
            `full_mask` reads it.

    Returns:
        [batch, 1, 1 or queries, keys], bool, true where to attend; None: everywhere, as where the mask is seen to hide
        nothing. Of a mask of four dimensions that one.
    """
    if mask is None:
        return None
    if len(mask.shape) == 4:
        return full_mask(mask)
    attend = as_bool(mask)
    if hides_nothing(attend):
        return None
    attend = attend[:, None, None, :] if len(mask.shape) == 2 else attend[:, None]
    # A query that may look nowhere has no softmax; its output means nothing, but must not become NaN.
    return ops.logical_or(attend, ops.logical_not(ops.any(attend, axis=-1, keepdims=True)))


def causal_mask(mask: Tensor | None, queries: Any, past: Any) -> Tensor | None:
    """Return the mask of a decoder: each query sees itself and what is before it, as far as `mask` lets it.

    Args:
        mask: [batch, past + queries] or [batch, queries, past + queries], non-zero where to attend; None: everywhere. Of
            four dimensions: as `full_mask` reads it, for then it is the whole mask.
        queries: how many tokens are computed now.
        past: how many are in the cache.

    Returns:
        [1 or batch, 1, queries, past + queries], bool, true where to attend; None where nothing is hidden, that is, for a
        single query without a mask. Of a mask of four dimensions that one.
    """
    if mask is None and isinstance(queries, int) and queries == 1:
        return None
    if mask is not None and len(mask.shape) == 4:
        return full_mask(mask)
    columns = ops.arange(past + queries, dtype="int32")[None, :]
    rows = ops.arange(queries, dtype="int32")[:, None] + past
    attend = (columns <= rows)[None, None]
    if mask is not None:
        allowed = as_bool(mask)
        attend = ops.logical_and(attend, allowed[:, None, None, :] if len(mask.shape) == 2 else allowed[:, None])
        # A pad before the text sees nothing at all; letting it see itself keeps NaN out of the layers above.
        attend = ops.logical_or(attend, ops.equal(columns, rows)[None, None])
    return attend


def hides_nothing(attend: Tensor) -> bool:
    """Return whether a mask is seen to be true everywhere.

    Args:
        attend: any shape, bool. Inside a trace nothing is known.

    Returns:
        Whether that is known to be so.
    """
    return are_values_known(attend) and bool(ops.convert_to_numpy(attend).all())


def pads_come_first(mask: Tensor | None) -> bool:
    """Return whether some row starts with a pad, so that the output of its first token means nothing.

    Args:
        mask: [batch, length], zero at pads. Of a mask of three dimensions, of none, and inside a trace nothing is known.

    Returns:
        Whether that is known to be so.
    """
    if mask is None or len(mask.shape) != 2 or not are_values_known(mask):
        return False
    return not bool(ops.convert_to_numpy(mask)[:, 0].all())


def labels_reach_pads(labels: Tensor | None, mask: Tensor | None, ignored: int) -> bool:
    """Return whether a loss will look at masked positions, which then have to be computed.

    Args:
        labels: [batch, length].
        mask: [batch, length], zero at pads. Of a mask of another shape, of none, and inside a trace nothing is known.
        ignored: the label of positions that the loss does not look at.

    Returns:
        Whether that is known to be so.
    """
    if labels is None or mask is None or not are_values_known(labels, mask):
        return False
    if not is_shape(tuple(labels.shape), tuple(mask.shape)):
        return False
    values, real = ops.convert_to_numpy(labels), ops.convert_to_numpy(mask) != 0
    return bool(((values != ignored) & ~real).any())
