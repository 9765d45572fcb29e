"""How far a training came, as its checkpoint records it, and what is taken of a record that is odd."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from helpers.checkpoints import save_edited
from helpers.paths import FIXTURES, MLM
from prenorm.parts import open_checkpoint
from prenorm.source.arguments import find_arguments
from prenorm.source.history import TrainingHistory, training_history


def history_of(checkpoint: Any) -> TrainingHistory:
    return training_history(checkpoint, find_arguments(checkpoint.content))


def recorded(**content: object) -> TrainingHistory:
    return history_of(replace(open_checkpoint(MLM), content=content))


def loss_by_torch(name: str) -> float:
    content = torch.load(FIXTURES / name / "checkpoint.pt", weights_only=False)
    (meter,) = (state for _, key, _, state in content["extra_state"]["metrics"]["train"] if key == "loss")
    return float(meter["sum"] / meter["count"])


@pytest.mark.parametrize(
    ("name", "updates", "epoch", "validation"),
    [("dinkytrain-mlm", 312, 7, 7.609), ("dinkytrain-classification", 120, 1, 1.565)],
)
def test_fairseqs_own_record(name: str, updates: int, epoch: int, validation: float) -> None:
    history = history_of(open_checkpoint(FIXTURES / name / "checkpoint.pt"))
    assert (history.updates, history.epoch, history.validation, history.best) == (
        updates,
        epoch,
        validation,
        validation,
    )
    assert history.metric == "loss"
    assert history.training_loss == pytest.approx(loss_by_torch(name), rel=1e-6)
    assert history.learning_rate is not None
    assert history.seconds is not None
    assert 10 < history.seconds < 20


def test_a_checkpoint_without_a_record() -> None:
    assert recorded() == TrainingHistory()


def test_the_metric_is_named_where_it_is_not_the_loss() -> None:
    for metric, name in (("accuracy", "accuracy"), ("/home/me", "the chosen metric"), (None, "loss")):
        assert recorded(cfg={"checkpoint": {"best_checkpoint_metric": metric}}).metric == name


ODD: dict[str, Any] = {
    "text": "7.6", "truth": True, "infinity": math.inf, "nan": math.nan, "huge": 1 << 500, "list": [1.0], "none": None,
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_what_is_no_number_is_not_recorded(case: str) -> None:
    odd = ODD[case]
    state = {
        "val_loss": odd, "best": odd, "previous_training_time": odd, "train_iterator": {"epoch": odd},
        "metrics": {"train": [(10, "loss", "AverageMeter", {"sum": odd, "count": odd}), (300, "lr", "", {"val": odd})]},
    }  # fmt: skip
    assert recorded(extra_state=state, optimizer_history=[{"num_updates": odd}]) == TrainingHistory()


@pytest.mark.parametrize(
    "state",
    [3, {"metrics": []}, {"metrics": {"train": 3}}, {"metrics": {"train": [3, (1, "loss", "", 3), (1, "loss")]}},
     {"metrics": {"train": [(1, "loss", "", {"sum": 3.0, "count": 0})]}}, {"train_iterator": [7]}],
)  # fmt: skip
def test_a_record_of_another_shape_says_nothing(state: object) -> None:
    assert recorded(extra_state=state) == TrainingHistory()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_numbers_that_are_tensors_are_read(tmp_path: Any, dtype: torch.dtype) -> None:
    def edit(content: dict[str, Any]) -> None:
        meter = {"sum": torch.tensor(12, dtype=dtype), "count": torch.tensor(4, dtype=dtype)}
        content["extra_state"] = {"metrics": {"default": [(10, "loss", "AverageMeter", meter)]}}

    write: Callable[..., Any] = save_edited
    assert history_of(open_checkpoint(write(tmp_path / "c.pt", edit))).training_loss == 3.0
