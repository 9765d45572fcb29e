"""Checkpoints read without their weights: how far the training was, and which model they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.commands.run.plan import Problem, Reading, fault, of_system
from prenorm.errors import ExitCode, PrenormError, kind_of
from prenorm.mapping.understood import describe_model
from prenorm.options import SourceOptions
from prenorm.options.spoken import spoken
from prenorm.parts import open_checkpoint
from prenorm.source import SourceDescription


def read_checkpoint(path: Path, options: SourceOptions) -> Reading:
    """Read what a plan needs of a checkpoint.

    Args:
        path: the file; of several, any of them.
        options: how a checkpoint is understood.

    Returns:
        What it records and is; a problem in place of what cannot be read.
    """
    try:
        tensors, _, arguments, description = describe_model(open_checkpoint(path), options)
    except PrenormError as error:
        return Reading(problem=Problem.of(error))
    except OSError as error:
        return Reading(problem=of_system(error))
    except Exception as error:  # a fault of ours in one checkpoint stops no other
        return Reading(problem=fault(error))
    history, data = description.history, arguments.find("data", "task")
    return Reading(
        updates=history.updates,
        epoch=history.epoch,
        training_loss=history.training_loss,
        validation=history.validation,
        metric=history.metric,
        learning_rate=history.learning_rate,
        model=_sizes(description),
        weight_bytes=sum(_bytes(tensor) for tensor in tensors.values()),
        data=data.split(":")[0] if isinstance(data, str) else None,
    )


def _sizes(model: SourceDescription) -> str:
    heads = "".join(f", the head {head.name}" for head in model.heads)
    return (
        f"{model.layers} layers of width {model.hidden_size} and {model.ffn_size}, {model.vocab_size} tokens, "
        f"{model.positions.rows} positions{heads}"
    )


def _bytes(tensor: SourceTensor) -> int:
    return sum(view.span.size for view in tensor.views)


def of_one_run(readings: Sequence[Reading]) -> list[Reading]:
    """Give a problem to each checkpoint whose model has other sizes than most have.

    Args:
        readings: of all checkpoints.

    Returns:
        The same, with these problems. Where two models are equally frequent, the one with more updates is the run's.
    """
    sizes = Counter(reading.model for reading in readings if reading.problem is None)
    if len(sizes) < 2:
        return list(readings)
    latest = {model: max(item.updates or 0 for item in readings if item.model == model) for model in sizes}
    usual = max(sizes, key=lambda model: (sizes[model], latest[model], model))
    return [item if item.problem or item.model == usual else _of_another(item, usual) for item in readings]


def _of_another(reading: Reading, usual: str) -> Reading:
    problem = Problem(
        kind_of(ExitCode.USAGE),
        f"it is of another training run: it has {reading.model}, and most checkpoints here have {usual}",
        advice=f"Convert each run into a folder of its own, chosen with {spoken('match', ...)}",
    )
    return Reading(updates=reading.updates, epoch=reading.epoch, model=reading.model, problem=problem)
