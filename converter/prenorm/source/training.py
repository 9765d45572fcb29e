"""What the checkpoint records of its training: which program, for which task, with which head."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from prenorm.checkpoint import Checkpoint
from prenorm.options import TaskKind
from prenorm.rules.rules import match
from prenorm.source.arguments import Arguments
from prenorm.source.layouts import DEEPSPEED, FUSED, Canonical

UNKNOWN = "unknown"  # what a description says of a name that is not recorded


class Producer(str, Enum):
    """Which program wrote a checkpoint."""

    DINKYTRAIN_DEEPSPEED = "DinkyTrain with DeepSpeed kernels"
    DINKYTRAIN = "DinkyTrain"
    FAIRSEQ_012 = "fairseq 0.12"
    FAIRSEQ_2021 = "fairseq since 2021"
    FAIRSEQ_OLD = "fairseq up to 0.10"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    @property
    def is_dinkytrain(self) -> bool:
        """Whether it is DinkyTrain, in either form."""
        return self in (Producer.DINKYTRAIN, Producer.DINKYTRAIN_DEEPSPEED)


def plain_name(value: object) -> str:
    """Pass a name as programs give them: what a checkpoint says is shown and published.

    Args:
        value: what the checkpoint records.

    Returns:
        The name, or `UNKNOWN` for anything else.
    """
    return value if isinstance(value, str) and re.fullmatch(r"[\w.\-]{1,80}", value) else UNKNOWN


def recorded_task(arguments: Arguments) -> str:
    """Tell the name of the fairseq task.

    Args:
        arguments: what the checkpoint records.

    Returns:
        The name, or `UNKNOWN`.
    """
    return plain_name(arguments.task)


@dataclass(frozen=True)
class TrainedHead:
    """The classification head that was trained: what for, under which name, and what says so."""

    kind: TaskKind
    name: str
    why: str


# The arguments that name a head, with what fairseq's tasks and criteria train it for, and its name by default.
_HEAD_ARGUMENTS = (
    ("sentence_prediction", "classification_head_name", TaskKind.SEQUENCE_CLASSIFICATION),
    ("sentence_ranking", "ranking_head_name", TaskKind.MULTIPLE_CHOICE),
)
_DEFAULT_HEAD = "sentence_classification_head"


def trained_head(arguments: Arguments) -> TrainedHead | None:
    """Find the head that the task trained.

    A task of somebody's own (`--user-dir`) is known by the argument that names its head.

    Args:
        arguments: what the checkpoint records.

    Returns:
        The head; None if it is no task for a head.
    """
    task = recorded_task(arguments)
    for name, argument, kind in _HEAD_ARGUMENTS:
        recorded = arguments.find(argument, "task", "criterion")
        if task == name:
            return TrainedHead(
                kind, recorded if isinstance(recorded, str) else _DEFAULT_HEAD, f"the checkpoint was trained for {task}"
            )
    for _, argument, kind in _HEAD_ARGUMENTS:
        recorded = arguments.find(argument, "task", "criterion")
        if isinstance(recorded, str) and task != "masked_lm":
            return TrainedHead(kind, recorded, f"the checkpoint was trained for {task}, with {argument}={recorded}")
    return None


def is_regression(arguments: Arguments) -> bool:
    """Say whether the classification head was trained on numbers (`--regression-target`).

    Args:
        arguments: what the checkpoint records.

    Returns:
        True if it was.
    """
    return arguments.find("regression_target", "task", "criterion") is True


def producer(checkpoint: Checkpoint, canonical: Canonical) -> Producer:
    """Tell which program wrote the file, as far as its keys give it away.

    Args:
        checkpoint: the file.
        canonical: its tensors, and the layouts that were met.

    Returns:
        The program; `DINKYTRAIN_DEEPSPEED` exactly for files of the DeepSpeed layout.
    """
    if DEEPSPEED in canonical.layouts:
        return Producer.DINKYTRAIN_DEEPSPEED
    config = checkpoint.content.get("cfg")
    if any(match(rule.source, item.source) is not None for rule in FUSED for item in canonical.dropped):
        return Producer.FAIRSEQ_012
    if isinstance(config, dict) and "simul_type" in config:
        return Producer.DINKYTRAIN
    if config is not None:
        return Producer.FAIRSEQ_2021
    return Producer.FAIRSEQ_OLD if checkpoint.content.get("args") is not None else Producer.UNKNOWN
