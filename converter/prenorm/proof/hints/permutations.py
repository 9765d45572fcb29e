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
        return f"rows of this matrix are in another order: {moves(order, 'row')}"
    moved = moved_heads(order, heads)
    if moved is not None:
        return f"attention heads are in another order: {moves(moved, 'head')}"
    size = len(order) // heads
    blocks = order.reshape(heads, size)
    if bool((blocks // size == torch.arange(heads)[:, None]).all()):
        inside = [n for n, block in enumerate(blocks.tolist()) if block != list(range(n * size, (n + 1) * size))]
        return f"the rows within attention head {', '.join(map(str, inside[:_MOST_SHOWN]))} are in another order"
    return f"rows are in another order, across attention heads: {moves(order, 'row')}"


def moved_heads(order: Tensor, heads: int) -> Tensor | None:
    """Return the order of whole heads that an order of rows is.

    Args:
        order: [width]: `order[i]` is the checkpoint's row that stands at row i.
        heads: into how many heads the rows are split.

    Returns:
        The order, [heads]; None if heads did not stay whole.
    """
    size = len(order) // heads
    blocks = order.reshape(heads, size)
    moved = blocks[:, 0] // size
    return moved if bool((blocks == moved[:, None] * size + torch.arange(size)).all()) else None


def moves(order: Tensor, what: str) -> str:
    """Describe an order by the first that moved.

    Args:
        order: [width]: `order[i]` is the checkpoint's row that stands at row i.
        what: what a row is called.

    Returns:
        Such as 'row 3 is the checkpoint's 90, row 90 is the checkpoint's 3'.
    """
    moved = [(n, source) for n, source in enumerate(order.tolist()) if n != source]
    lines = [f"{what} {n} is the checkpoint's {source}" for n, source in moved[:_MOST_SHOWN]]
    return ", ".join(lines) + (f", and {len(moved) - _MOST_SHOWN} more" if len(moved) > _MOST_SHOWN else "")
