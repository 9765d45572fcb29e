"""Attention masks: from what a caller passes to what the attention kernels take."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm_model.checks import is_shape
from prenorm_model.torch.facts import are_values_known


def full_mask(mask: Tensor) -> Tensor:
    """Return a mask of four dimensions as the attention takes it, which is as transformers reads it.

    Args:
        mask: [batch or 1, heads or 1, queries, keys]: in floating point added to the scores, else non-zero where to attend.

    Returns:
        The same shape, floating point or bool.
    """
    return mask if mask.is_floating_point() else mask.bool()


def encoder_mask(mask: Tensor | None, *, skip_full: bool) -> Tensor | None:
    """Return the mask of bidirectional attention, or of cross-attention over the encoder's states.

    Args:
        mask: [batch, keys] or [batch, queries, keys], non-zero where to attend; None: everywhere. Of four dimensions: as
            `full_mask` reads it.
        skip_full: whether a mask that hides nothing may become None, which is faster, but looks at its values.

    Returns:
        [batch, 1, 1 or queries, keys], bool, true where to attend; None: everywhere. Of a mask of four dimensions that one.
    """
    if mask is None:
        return None
    if mask.dim() == 4:
        return full_mask(mask)
    attend = mask.bool()
    if skip_full and bool(attend.all()):
        return None
    attend = attend[:, None, None, :] if attend.dim() == 2 else attend[:, None]
    # A query that may look nowhere has no softmax; its output means nothing, but must not become NaN.
    return attend | ~attend.any(dim=-1, keepdim=True)


def causal_mask(mask: Tensor | None, queries: int, past: int, device: torch.device) -> Tensor | None:
    """Return the mask of a decoder: each query sees itself and what is before it, as far as `mask` lets it.

    Args:
        mask: [batch, past + queries] or [batch, queries, past + queries], non-zero where to attend; None: everywhere. Of
            four dimensions: as `full_mask` reads it, for then it is the whole mask.
        queries: how many tokens are computed now.
        past: how many are in the cache.
        device: where to make the mask.

    Returns:
        [1 or batch, 1, queries, past + queries], bool, true where to attend; None where nothing is hidden, that is, for a
        single query without a mask. Of a mask of four dimensions that one.
    """
    if mask is None and queries == 1:
        return None
    if mask is not None and mask.dim() == 4:
        return full_mask(mask)
    rows = torch.arange(past, past + queries, device=device)[:, None]
    columns = torch.arange(past + queries, device=device)[None, :]
    attend = (columns <= rows)[None, None]
    if mask is not None:
        allowed = mask.bool()
        attend = attend & (allowed[:, None, None, :] if allowed.dim() == 2 else allowed[:, None])
        # A pad before the text sees nothing at all; letting it see itself keeps NaN out of the layers above.
        attend = attend | (columns == rows)[None, None]
    return attend


def pads_come_first(mask: Tensor | None) -> bool:
    """Return whether some row starts with a pad, so that the output of its first token means nothing.

    Args:
        mask: [batch, length], zero at pads. Of a mask of three dimensions, of none, and inside a trace nothing is known.

    Returns:
        Whether that is known to be so.
    """
    return are_values_known() and mask is not None and mask.dim() == 2 and not bool(mask[:, 0].all())


def labels_reach_pads(labels: Tensor | None, mask: Tensor | None, ignored: int) -> bool:
    """Return whether a loss will look at masked positions, which then have to be computed.

    Args:
        labels: [batch, length].
        mask: [batch, length], zero at pads. Of a mask of another shape, of none, and inside a trace nothing is known.
        ignored: the label of positions that the loss does not look at.

    Returns:
        Whether that is known to be so.
    """
    if not are_values_known() or labels is None or mask is None or not is_shape(tuple(labels.shape), tuple(mask.shape)):
        return False
    return bool(((labels != ignored) & (mask == 0)).any())
