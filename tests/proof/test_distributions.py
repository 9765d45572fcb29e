"""KL divergence and best tokens from pieces of the vocabulary, held against torch on the whole."""

from __future__ import annotations

import math

import pytest
import torch

from prenorm.proof.numbers.differences import LogitDifference


def _logits(scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(21, 1000, generator=generator, dtype=torch.float64) * scale
    return x, x + torch.randn(21, 1000, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0])
@pytest.mark.parametrize("columns", [1, 7, 333, 1000])
def test_pieces_give_what_the_whole_gives(columns: int, scale: float) -> None:
    x, y = _logits(scale)
    found = LogitDifference("logits")
    for first in range(0, 1000, columns):
        found.add_columns(x[:, first : first + columns], y[:, first : first + columns])
    found.end_rows()
    p, q = (values.log_softmax(dim=-1) for values in (x, y))
    divergence = torch.nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(dim=-1)
    assert found.kl_sum == pytest.approx(float(divergence.sum()), rel=1e-12)
    assert found.kl_max == pytest.approx(float(divergence.max()), rel=1e-12)
    assert (found.tokens, found.same_best) == (21, int((x.argmax(dim=-1) == y.argmax(dim=-1)).sum()))
    assert found.max_abs_diff == float((x - y).abs().max())
    assert found.metrics()["rmse"] == pytest.approx(math.sqrt(float(((x - y) ** 2).mean())), rel=1e-12)
    assert found.metrics()["cosine"] == pytest.approx(
        float(torch.nn.functional.cosine_similarity(x.flatten(), y.flatten(), dim=0)), rel=1e-12
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_counted_and_the_rest_compared(bad: float) -> None:
    x, y = _logits(1.0)
    y[4, 600] = bad
    found = LogitDifference("logits")
    found.add(x, y)
    assert (found.nonfinite_reference, found.nonfinite_actual, found.nonfinite_apart) == (0, 1, 1)
    assert found.count == 21 * 1000 - 1
    assert not found.passed
    kept = torch.ones_like(x, dtype=torch.bool)
    kept[4, 600] = False
    assert found.max_abs_diff == float((x - y)[kept].abs().max())
    assert math.isfinite(found.kl_sum)
    assert math.isfinite(found.kl_max)
