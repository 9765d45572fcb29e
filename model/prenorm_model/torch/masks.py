"""Attention masks: from what a caller passes to what the attention kernels take."""

from __future__ import annotations

import torch
from torch import Tensor


def encoder_mask(mask: Tensor | None, *, skip_full: bool) -> Tensor | None:
    """The mask of bidirectional attention, or of cross-attention over the encoder's states.

    Args:
        mask: [batch, keys] or [batch, queries, keys], non-zero where to attend; None: everywhere.
        skip_full: whether a mask that hides nothing may become None, which is faster (and asks the values).

    Returns:
        [batch, 1, 1 or queries, keys], bool, true where to attend; None: everywhere.
    """
    if mask is None:
        return None
    attend = mask.bool()
    if skip_full and bool(attend.all()):
        return None
    attend = attend[:, None, None, :] if attend.dim() == 2 else attend[:, None]
    # A query that may look nowhere has no softmax; its output means nothing, but must not become NaN.
    return attend | ~attend.any(dim=-1, keepdim=True)


def causal_mask(mask: Tensor | None, queries: int, past: int, device: torch.device) -> Tensor | None:
    """The mask of a decoder: each query sees itself and what is before it, as far as `mask` lets it.

    Args:
        mask: [batch, past + queries] or [batch, queries, past + queries], as above.
        queries: how many tokens are computed now.
        past: how many are in the cache.

    Returns:
        As above; None only where nothing is hidden, that is, for a single query without a mask.
    """
    if mask is None and queries == 1:
        return None
    rows = torch.arange(past, past + queries, device=device)[:, None]
    columns = torch.arange(past + queries, device=device)[None, :]
    attend = (columns <= rows)[None, None]
    if mask is not None:
        allowed = mask.bool()
        attend = attend & (allowed[:, None, None, :] if allowed.dim() == 2 else allowed[:, None])
        # A pad before the text sees nothing at all; letting it see itself keeps NaN out of the layers above.
        attend = attend | (columns == rows)[None, None]
    return attend
