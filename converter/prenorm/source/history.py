"""What a checkpoint records of how far its training came: updates, epoch, losses, learning rate, time.

fairseq's trainer keeps them beside the weights (`trainer.state_dict`, `checkpoint_utils.save_checkpoint`). Anybody can write
anything there, so only finite numbers of a plausible range are taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prenorm.checkpoint import Checkpoint, LazyTensor
from prenorm.checkpoint.tensors import bytes_of
from prenorm.source.arguments import Arguments

# What `--best-checkpoint-metric` names in fairseq's own criterions. fairseq keeps its value under `val_loss`, whatever it is.
_METRICS = ("loss", "nll_loss", "ppl", "accuracy", "f1", "mcc", "acc_and_f1", "pearson", "spearman", "bleu")
_LOSS = "loss"
_MOST = 1e12
# The numbers of a meter are tensors of one element where a criterion logged them so.
_NUMBER_FORMATS = {"float32": "<f", "float64": "<d", "int64": "<q", "int32": "<i"}


@dataclass(frozen=True, kw_only=True)
class TrainingHistory:
    """How far a training came; each value is None where the checkpoint does not record it.

    Attributes:
        updates: how many steps the optimizer took.
        epoch: the epoch that the checkpoint was saved in, counted from 1.
        metric: what `validation` and `best` are values of: fairseq's `--best-checkpoint-metric`.
        validation: the metric on the validation data when the checkpoint was saved. fairseq's losses are in bits.
        best: the best value of the metric so far.
        training_loss: the mean loss on the training data, in the epoch or since the training began.
        learning_rate: of the last update.
        seconds: how long it was trained.
    """

    updates: int | None = None
    epoch: int | None = None
    metric: str = _LOSS
    validation: float | None = None
    best: float | None = None
    training_loss: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None


def training_history(checkpoint: Checkpoint, arguments: Arguments) -> TrainingHistory:
    """Read how far a training came.

    Args:
        checkpoint: the opened file.
        arguments: what it records.

    Returns:
        What is recorded of it.
    """
    state = _mapping(checkpoint.content.get("extra_state"))
    metric = arguments.find("best_checkpoint_metric", "checkpoint")
    validation, best = _number(state.get("val_loss")), _number(state.get("best"))
    return TrainingHistory(
        updates=_count(_last_optimizer(checkpoint).get("num_updates")),
        epoch=_count(_mapping(state.get("train_iterator")).get("epoch")),
        metric=next((word for word in _METRICS if word == metric), _LOSS if metric is None else "the chosen metric"),
        validation=validation,
        best=best,
        training_loss=_first(_mean(meter) for meter in _meters(state, _LOSS)),
        learning_rate=_first(_number(meter.get("val")) for meter in _meters(state, "lr")),
        seconds=_number(state.get("previous_training_time")),
    )


def _last_optimizer(checkpoint: Checkpoint) -> Mapping[object, object]:
    history = checkpoint.content.get("optimizer_history")
    return _mapping(history[-1] if isinstance(history, list) and history else None)


def _meters(state: Mapping[object, object], name: str) -> Iterator[Mapping[object, object]]:
    """Yield the meters of that name: of the running epoch, and of the whole training."""
    groups = _mapping(state.get("metrics"))
    for group in ("train", "default"):
        meters = groups.get(group)
        for meter in meters if isinstance(meters, list) else ():
            if isinstance(meter, tuple) and len(meter) == 4 and meter[1] == name:
                yield _mapping(meter[3])


def _mean(meter: Mapping[object, object]) -> float | None:
    total, amount = _number(meter.get("sum")), _number(meter.get("count"))
    return total / amount if total is not None and amount else None


def _first(values: Iterator[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _number(value: object) -> float | None:
    if isinstance(value, LazyTensor) and value.numel == 1 and value.dtype in _NUMBER_FORMATS:
        (value,) = struct.unpack(_NUMBER_FORMATS[value.dtype], bytes_of(value))
    if type(value) not in (int, float) or not -_MOST <= value <= _MOST:  # type: ignore[operator]
        return None  # NaN, too, which compares with nothing
    return float(value)  # type: ignore[arg-type]
