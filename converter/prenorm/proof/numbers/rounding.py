"""What rounding explains: limits of a difference, derived from the operations behind a value.

Both sides of a comparison compute one function of the same numbers, in other orders of operations. Each operation is off by
at most the unit roundoff u of its type, relative to its result. A sum of n products is then off by at most n u times the sum
of their sizes; if roundings are independent and of mean zero, by λ sqrt(n) u times that, but for a probability of
2 n exp(-λ²/2) (Higham and Mary 2019, SIAM J. Sci. Comput. 41(5), A2815, theorems 2.4 and 3.1); and if the products have mixed
signs, sqrt(n) times their root sum of squares takes the place of the sum of their sizes (Higham and Mary 2020, SIAM J. Sci.
Comput. 42(5), A3427). Of the other operations a small number of roundings is relative to the largest intermediate value.

So every limit is λ u times a magnitude, which is computed beside the reference's values: the functions here give it. With
λ = 8 the probability is 2e-14 n. What is judged at once (a norm, a head's attention, a map with its signs) is made of up to
eight such operations in a row on either side: the sum of their errors is 16 of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LAMBDA = 8.0
_OPERATIONS = 16


def limit_of(magnitude: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the largest difference that rounding explains.

    Args:
        magnitude: the size of the largest intermediate values, with the number of roundings, of any shape.
        dtype: the type that was computed in.

    Returns:
        The limits, of the shape of the magnitude; at least the type's smallest normal number, below which nothing is exact.
    """
    info = torch.finfo(dtype)
    return LAMBDA * _OPERATIONS * (info.eps / 2) * magnitude + info.smallest_normal


def of_norm(entering: Tensor, weight: Tensor, normed: Tensor, deviation: Tensor, largest: Tensor) -> Tensor:
    """Return the magnitude of a LayerNorm's roundings.

    Mean and centred values are off in proportion to the row's largest value, the deviation in proportion to that over the
    deviation itself (a one-pass variance: Chan, Golub and LeVeque 1983), and both are divided by the deviation.

    Args:
        entering: what is normalized, less its mean, [..., width].
        weight: the norm's weight, [width].
        normed: the norm's output without its bias, [..., width].
        deviation: the root of the variance with epsilon, [..., 1].
        largest: the largest size of a value of the row, or of the terms that it is a sum of, [..., 1].

    Returns:
        [..., width].
    """
    condition = largest / deviation
    magnitude: Tensor = weight.abs() * condition * (1.0 + (entering / deviation).abs()) + normed.abs()
    return magnitude


def of_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the magnitude of the roundings of softmax(q k^T / sqrt(d)) v.

    A score is off in proportion to |q| |k| / sqrt(d), and with it the weight's logarithm; the weighted sum of n values is off
    by sqrt(n) roundings of the largest.

    Args:
        query: of one head, [batch, length, size].
        key: of one head, zero at pads, [batch, length, size].
        value: of one head, zero at pads, [batch, length, size].

    Returns:
        [batch, length, size].
    """
    length, size = key.shape[-2:]
    longest = torch.linalg.vector_norm(key, dim=-1).amax(dim=-1)[:, None, None]
    scores = torch.linalg.vector_norm(query, dim=-1, keepdim=True) * longest / math.sqrt(size)
    magnitude: Tensor = value.abs().amax(dim=-2, keepdim=True) * (math.sqrt(length) + scores)
    return magnitude


def of_product(entering: Tensor, squares: Tensor, bias: Tensor) -> Tensor:
    """Return the magnitude of the roundings of r·(x W^T + b), where r is a vector of m random signs.

    The n summands of each output, and the m outputs, are taken as of mixed signs, and a mean beside it is allowed for.

    Args:
        entering: x, [tokens, n].
        squares: of each column of W the sum of squares, [n].
        bias: b, [m].

    Returns:
        [tokens, 1].
    """
    roundings = math.sqrt(entering.shape[-1]) + math.sqrt(len(bias))
    mixed = torch.sqrt((entering * entering) @ squares) + torch.linalg.vector_norm(bias)
    magnitude: Tensor = roundings * mixed + entering.abs() @ squares.sqrt()
    return magnitude[:, None]
