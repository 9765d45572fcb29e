"""Derived limits hold in float32, whose rounding float64 tells, and are near it; a product by signs sees one digit."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from prenorm.proof.numbers import rounding
from prenorm.proof.references.builtin import EPSILON

TOKENS, WIDTH, OUTPUTS = 64, 192, 320
GENERATOR = torch.Generator().manual_seed(3)


def normal(*shape: int) -> Tensor:
    """Normal numbers that float32 has, in float64."""
    return torch.randn(shape, generator=GENERATOR).double()


SIGNS = normal(OUTPUTS, 4).sign()
DATA: dict[str, Callable[[int, int], Tensor]] = {
    "natural": normal,
    "positive": lambda rows, columns: normal(rows, columns).abs(),
    "with a mean": lambda rows, columns: normal(rows, columns) + 30,
    "with an outlier": lambda rows, columns: normal(rows, columns) * (1 + 999 * (torch.arange(columns) == 5)),
}


def share(apart: Tensor, magnitude: Tensor, dtype: torch.dtype = torch.float32) -> float:
    """The largest part of a limit that a difference uses up."""
    return float((apart.abs() / rounding.limit_of(magnitude, dtype)).max())


def product_magnitude(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return rounding.of_product(x, weight.square().sum(dim=0), bias)


@pytest.mark.parametrize("kind", DATA)
def test_products(kind: str) -> None:
    x, weight, bias = DATA[kind](TOKENS, WIDTH), DATA[kind](OUTPUTS, WIDTH), normal(OUTPUTS)
    rounded = functional.linear(x.float(), weight.float(), bias.float()).double() @ SIGNS
    exact = x @ (weight.T @ SIGNS) + bias @ SIGNS
    assert 1e-4 < share(rounded - exact, product_magnitude(x, weight, bias)) < 0.3


@pytest.mark.parametrize("changed", ["weight", "bias"])
def test_one_unit_in_the_last_place_of_one_value_is_far_beyond_the_limit(changed: str) -> None:
    x, weight, bias = normal(TOKENS, WIDTH), normal(OUTPUTS, WIDTH), normal(OUTPUTS)
    exact = x @ (weight.T @ SIGNS) + bias @ SIGNS
    magnitude = product_magnitude(x, weight, bias)
    assert share(functional.linear(x, weight, bias) @ SIGNS - exact, magnitude, torch.float64) < 0.1
    values, place = (weight, (7, 11)) if changed == "weight" else (bias, (7,))
    values[place] = float(torch.nextafter(values[place].float(), torch.tensor(math.inf)))
    assert share(functional.linear(x, weight, bias) @ SIGNS - exact, magnitude, torch.float64) > 50


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("kind", DATA)
def test_norms(kind: str, size: float) -> None:
    x, weight, bias = (DATA[kind](TOKENS, WIDTH) * size).float().double(), normal(WIDTH), normal(WIDTH)
    rounded = functional.layer_norm(x.float(), (WIDTH,), weight.float(), bias.float(), EPSILON).double()
    centred = x - x.mean(dim=-1, keepdim=True)
    deviation = torch.sqrt((centred * centred).mean(dim=-1, keepdim=True) + EPSILON)
    normed = centred / deviation * weight
    largest = x.abs().amax(dim=-1, keepdim=True)
    magnitude = rounding.of_norm(centred, weight, normed, deviation, largest) + bias.abs()
    assert 1e-4 < share(rounded - normed - bias, magnitude) < 0.3


@pytest.mark.parametrize("factor", [1.0, 10.0, 1000.0])
def test_attention(factor: float) -> None:
    query, key, value = (normal(2, TOKENS, 16) for _ in range(3))
    query *= factor
    rounded = functional.scaled_dot_product_attention(query.float(), key.float(), value.float()).double()
    exact = (query @ key.transpose(-1, -2) / 4.0).softmax(dim=-1) @ value
    assert 1e-4 < share(rounded - exact, rounding.of_attention(query, key, value)) < 0.3


def test_below_the_smallest_normal_number_nothing_is_exact() -> None:
    assert float(rounding.limit_of(torch.zeros(1), torch.float32)) == torch.finfo(torch.float32).smallest_normal
