"""What the checkpoint records of its training: which program, for which task, with which head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from prenorm.checkpoint import Checkpoint
from prenorm.options import TaskKind
from prenorm.rules.rules import match
from prenorm.source.arguments import Arguments
from prenorm.source.layouts import DEEPSPEED, FUSED, Canonical
from prenorm.words import Worded

UNKNOWN = "unknown"  # what a description says of a name that is not recorded


class Producer(Worded):
    """Which program wrote a checkpoint."""

    DINKYTRAIN_DEEPSPEED = "DinkyTrain with DeepSpeed kernels"
    DINKYTRAIN = "DinkyTrain"
    FAIRSEQ_012 = "fairseq 0.12"
    FAIRSEQ_2021 = "fairseq since 2021"
    FAIRSEQ_OLD = "fairseq up to 0.10"
    UNKNOWN = "unknown"


def plain_name(value: object) -> str:
    """Pass a name as programs give them: what a checkpoint says is shown and published.

    Args:
        value: what the checkpoint records.

    Returns:
        The name, or `UNKNOWN` for anything else.
    """
    return value if isinstance(value, str) and re.fullmatch(r"[\w.\-]{1,80}", value) else UNKNOWN


@dataclass(frozen=True)
class TrainedHead:
    """The classification head that was trained: what for, under which name, and what says so."""

    kind: TaskKind
    name: str
    why: str


# What a criterion trains, by its name. `sentence_prediction` classifies the first token of a text, `sentence_ranking`
# chooses among texts by one score for each (fairseq/criterions; `_r3f` is of its examples/rxf), and those of the masked LM
# train no classification head (`wsc` and `winogrande`, of examples/roberta/wsc, compare what it says of two spans).
_BY_CRITERION: Mapping[str, TaskKind] = {
    "sentence_prediction": TaskKind.SEQUENCE_CLASSIFICATION,
    "sentence_prediction_adapters": TaskKind.SEQUENCE_CLASSIFICATION,
    "sentence_prediction_r3f": TaskKind.SEQUENCE_CLASSIFICATION,
    "sentence_ranking": TaskKind.MULTIPLE_CHOICE,
    "masked_lm": TaskKind.MASKED_LM,
    "wsc": TaskKind.MASKED_LM,
    "winogrande": TaskKind.MASKED_LM,
}
# The same by the name of the task, for checkpoints that record no criterion: each has one that it is made for.
_BY_TASK: Mapping[str, TaskKind] = {
    "sentence_prediction": TaskKind.SEQUENCE_CLASSIFICATION,
    "sentence_prediction_adapters": TaskKind.SEQUENCE_CLASSIFICATION,
    "sentence_ranking": TaskKind.MULTIPLE_CHOICE,
    "commonsense_qa": TaskKind.MULTIPLE_CHOICE,  # of examples/roberta/commonsense_qa; it insists on sentence_ranking
    "masked_lm": TaskKind.MASKED_LM,
    "multilingual_masked_lm": TaskKind.MASKED_LM,
    "wsc": TaskKind.MASKED_LM,
    "winogrande": TaskKind.MASKED_LM,
}
# The arguments that name the trained head.
_HEAD_ARGUMENTS: Mapping[TaskKind, str] = {
    TaskKind.SEQUENCE_CLASSIFICATION: "classification_head_name",
    TaskKind.MULTIPLE_CHOICE: "ranking_head_name",
}
_DEFAULT_HEAD = "sentence_classification_head"


def trained_kind(task: str, criterion: str) -> TaskKind | None:
    """Tell what a checkpoint was trained for.

    The criterion decides where it is recorded: it is what runs the head and compares the result. Tasks of somebody's own
    (`--user-dir`) are often fairseq's with other data; but a criterion of somebody's own can ask anything of a head, such as
    a label for every token.

    Args:
        task: the task's name, or `UNKNOWN`.
        criterion: the criterion's name, or `UNKNOWN`.

    Returns:
        What for; None if nothing is recorded, or a name that is not known.
    """
    return _BY_TASK.get(task) if criterion == UNKNOWN else _BY_CRITERION.get(criterion)


def trained_head(arguments: Arguments) -> TrainedHead | None:
    """Find the head that was trained.

    Args:
        arguments: what the checkpoint records.

    Returns:
        The head; None if no head was trained, or it is not known what for.
    """
    task, criterion = plain_name(arguments.task), plain_name(arguments.criterion)
    kind = trained_kind(task, criterion)
    if kind is None or kind not in _HEAD_ARGUMENTS:
        return None
    argument = _HEAD_ARGUMENTS[kind]
    name = arguments.find(argument, "task", "criterion")
    is_named = isinstance(name, str)
    if task == UNKNOWN and not is_named:
        return None  # what else was recorded of it, such as numbers for targets, may be lost with the task's name
    if task == UNKNOWN:
        why = f"the checkpoint was trained with criterion {criterion}"
    else:
        why = f"the checkpoint was trained for {task}"
        if _BY_TASK.get(task) is not kind:
            why += f", with {argument}={name}" if is_named else f" with criterion {criterion}"
    return TrainedHead(kind, str(name) if is_named else _DEFAULT_HEAD, why)


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
