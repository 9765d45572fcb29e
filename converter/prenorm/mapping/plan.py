"""The plan: one row for every source tensor and every target tensor, made before a byte is written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from prenorm.errors import NotRepresentable, UnreadableCheckpoint
from prenorm.mapping.targets import Target, target_for
from prenorm.mapping.targets.heads import VOCABULARY_BIASES, check_activation, sizes
from prenorm.mapping.task import Task
from prenorm.options import TaskKind
from prenorm.rules.apply import Application, apply_target
from prenorm.rules.derived import cast
from prenorm.rules.rows import Dropped, Row, extend
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import Canonical
from prenorm.tokenization.dictionary import UNK

# The LM-head bias of rows that only the tokenizer needs: they never win, and exp(-1e4) is 0 even in float64.
EXTRA_ROW_BIAS = -1e4


@dataclass(frozen=True)
class ConversionPlan:
    """What will be written, from what, and what is left out. `extra_rows` are rows behind the dictionary's."""

    description: SourceDescription
    task: Task
    rows: tuple[Row, ...]
    dropped: tuple[Dropped, ...]
    extra_rows: int
    config: dict[str, object]
    target: Target

    def __repr__(self) -> str:
        return f"<ConversionPlan to {self.architecture}: {len(self.rows)} tensors, {len(self.dropped)} left out>"

    @property
    def model_type(self) -> str:
        """The target's name in config.json."""
        return self.target.model_type

    @property
    def architecture(self) -> str:
        """The class of transformers that the folder is for."""
        return self.target.architectures[self.task.kind]

    @property
    def parameters(self) -> int:
        """How many numbers the folder's weights hold; a tied matrix counts once, as in `num_parameters` of transformers."""
        return sum(math.prod(row.shape) for row in self.rows)


def plan_conversion(
    description: SourceDescription, canonical: Canonical, task: Task, extra_rows: int = 0
) -> ConversionPlan:
    """Map every tensor.

    Args:
        description: the model.
        canonical: the source tensors, folded.
        task: what the folder is for.
        extra_rows: rows that the tokenizer needs behind the last one; each reads as `<unk>`.

    Returns:
        The plan.

    Raises:
        NotRepresentable: if the target cannot hold the model, or a tensor has no place in it.
        UnreadableCheckpoint: if tensors are missing or have wrong shapes.
    """
    check_activation(description, task)
    target = target_for(description)
    architecture = target.architectures[task.kind]
    application = apply_target(
        target.rules(description, task), canonical.tensors, sizes(description, task), description.layers,
        description.dtype,
    )  # fmt: skip
    _refuse_problems(application, architecture)
    rows = [_with_extra_rows(_widened(row, description.dtype), extra_rows, target) for row in application.rows]
    if task.kind is TaskKind.ENCODER:  # the headless model is at the top, so its names have no prefix
        rows = [replace(row, target=row.target.removeprefix(target.prefix)) for row in rows]
    return ConversionPlan(
        description,
        task,
        tuple(sorted(rows, key=lambda row: row.target)),
        (*canonical.dropped, *application.dropped),
        extra_rows,
        target.config(description, task, extra_rows),
        target,
    )


def _widened(row: Row, dtype: str) -> Row:
    """Widen a row to the folder's type where the checkpoint has tensors of several, so that no value changes."""
    if row.moved is None or row.dtype == dtype:
        return row
    moved = replace(row.moved, tensor=cast(row.moved.tensor, dtype))
    return replace(row, moved=moved, dtype=dtype, operation=row.operation.widened(row.dtype))


def _with_extra_rows(row: Row, count: int, target: Target) -> Row:
    if count and row.target in target.vocabulary_matrices:
        return extend(row, count, copy_row=UNK)
    if count and row.target in VOCABULARY_BIASES:
        return extend(row, count, fill=EXTRA_ROW_BIAS)
    return row


def _refuse_problems(application: Application, architecture: str) -> None:
    problems = [
        *(f"missing: {text}" for text in application.missing),
        *(f"wrong shape: {text}" for text in application.mismatched),
        *(f"no place for: {text}" for text in application.unknown),
    ]
    if application.unknown:
        raise NotRepresentable(
            f"the model has {len(application.unknown)} tensors that {architecture} has no place for",
            problems=problems,
            advice="Leaving them out would change what it computes:",
        )
    if problems:
        raise UnreadableCheckpoint(
            f"{len(application.missing)} tensors are missing and {len(application.mismatched)} have the wrong shape",
            problems=problems,
            advice="The checkpoint is incomplete or damaged:",
        )
