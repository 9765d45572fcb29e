"""Rows of a matrix in another order: found from what it computes, and described as heads where heads moved."""

from __future__ import annotations

import torch
from torch import Tensor

_MOST_SHOWN = 4


def row_order(expected: Tensor, actual: Tensor, explained: float) -> Tensor | None:
    """Find which column of `expected` each column of `actual` is.

    A bias may have stayed where it was, or moved along: columns are compared without their means over the tokens.

    Args:
        expected: the reference's values, [tokens, width].
        actual: the folder's values, [tokens, width].
        explained: the largest difference left, as a share of the values' range.

    Returns:
        The order, [width]; None unless they are the same columns in another order.
    """
    expected, actual = (values - values.mean(dim=0) for values in (expected, actual))
    order = torch.cdist(actual.T.contiguous(), expected.T.contiguous()).argmin(dim=1)
    if len(set(order.tolist())) < len(order) or bool((order == torch.arange(len(order))).all()):
        return None
    apart = (expected[:, order] - actual).abs().max()
    return order if bool(apart <= explained * expected.abs().max()) else None


def describe_order(order: Tensor, heads: int | None) -> str:
    """Describe an order.

    Args:
        order: [width]: `order[i]` is the checkpoint's row that stands at row i.
        heads: into how many heads the rows are split, if they are.

    Returns:
        Which heads or rows are where, in words.
    """
    if heads is None:
        return f"rows of this matrix are in another order: {_moves(order, 'row')}"
    size = len(order) // heads
    blocks = order.reshape(heads, size)
    moved = blocks[:, 0] // size
    if bool((blocks == moved[:, None] * size + torch.arange(size)).all()):
        return f"attention heads are in another order: {_moves(moved, 'head')}"
    if bool((blocks // size == torch.arange(heads)[:, None]).all()):
        inside = [n for n, block in enumerate(blocks.tolist()) if block != list(range(n * size, (n + 1) * size))]
        return f"the rows within attention head {', '.join(map(str, inside[:_MOST_SHOWN]))} are in another order"
    return f"rows are in another order, across attention heads: {_moves(order, 'row')}"


def _moves(order: Tensor, what: str) -> str:
    """Return the first rows or heads that moved, in words."""
    moved = [(n, source) for n, source in enumerate(order.tolist()) if n != source]
    lines = [f"{what} {n} is the checkpoint's {source}" for n, source in moved[:_MOST_SHOWN]]
    return ", ".join(lines) + (f", and {len(moved) - _MOST_SHOWN} more" if len(moved) > _MOST_SHOWN else "")
