"""The judge: metrics that are right, and a tolerance that neither forgives nor cries wolf."""

from __future__ import annotations

import math

import pytest
import torch

from prenorm.proof.numbers.differences import RELATIVE_TOLERANCE, Difference, LogitDifference
from prenorm.proof.probe import build_probe


def test_metrics_on_numbers_done_by_hand() -> None:
    found = Difference("x")
    found.add(torch.tensor([3.0, 0.0]).double(), torch.tensor([3.0, 4.0]).double())
    metrics = found.metrics()
    assert metrics["max_abs_diff"] == 4.0
    assert metrics["mean_abs_diff"] == 2.0
    assert metrics["rmse"] == pytest.approx(math.sqrt(8))
    assert metrics["cosine"] == pytest.approx(0.6)
    assert (metrics["range"], metrics["relative_to_range"]) == (3.0, pytest.approx(4 / 3))


@pytest.mark.parametrize(("factor", "passed"), [(0.5, True), (2.0, False)])
def test_tolerance_is_relative_to_the_range(factor: float, passed: bool) -> None:
    values = torch.linspace(-1000, 1000, 101).double()
    found = Difference("x")
    found.add(values, values + factor * RELATIVE_TOLERANCE * 1000)
    assert found.passed is passed


def test_nan_on_one_side_fails_and_on_both_is_not_judged() -> None:
    nan = torch.tensor([1.0, float("nan")]).double()
    one, both = Difference("one"), Difference("both")
    one.add(torch.ones(2).double(), nan)
    both.add(nan, nan)
    assert (one.passed, one.judged) == (False, False)
    assert (both.passed, both.judged) == (True, False)


def test_nothing_compared_is_no_pass() -> None:
    assert not Difference("nothing").passed


def test_kl_and_best_token() -> None:
    found = LogitDifference("logits")
    p = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).double()
    q = torch.tensor([[0.5, 0.5], [0.1, 0.9]]).double()
    found.add(p.log(), q.log())
    metrics = found.metrics()
    assert metrics["kl_max"] == pytest.approx(0.8 * math.log(9))
    assert metrics["kl_mean"] == pytest.approx(0.4 * math.log(9))
    assert metrics["top1_agreement"] == 0.5


@pytest.mark.parametrize(("vocabulary", "positions"), [(433, 130), (50265, 514), (10, 5)])
def test_probe_covers_positions_padding_and_special_tokens(vocabulary: int, positions: int) -> None:
    full, short, few = build_probe(vocabulary, positions)
    assert full.shape == (1, positions - 2)
    assert not (full == 1).any()
    lengths = (short != 1).sum(dim=1).tolist()
    assert lengths[0] == short.shape[1]
    assert lengths[-1] == 2
    assert few.shape[0] * few.shape[1] - int((few != 1).sum()) < 32
    assert (positions < 20) or int((short == 1).sum()) >= 32
    for batch in (full, short, few):
        assert (batch[:, 0] == 0).all()
        assert int(batch.max()) < vocabulary
    assert all(row[length - 1] == 2 and (row[length:] == 1).all() for row, length in zip(short, lengths, strict=True))
    assert vocabulary - 1 in full
    again, _, _ = build_probe(vocabulary, positions)
    assert torch.equal(full, again)
