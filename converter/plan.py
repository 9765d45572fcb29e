"""The plan: one row for every source tensor and every target tensor, made before a byte is written."""

from __future__ import annotations

from dataclasses import dataclass

from converter.dictionary import UNK
from converter.errors import NotRepresentable, UnreadableCheckpoint
from converter.mapping import Application, Dropped, Row, apply_target, extend
from converter.source.description import SourceDescription
from converter.source.layouts import Canonical
from converter.targets import Target, target_for
from converter.targets.lm_head import VOCABULARY_BIASES, check_activation, sizes

# The LM-head bias of rows that only the tokenizer needs: they never win, and exp(-1e4) is 0 even in float64.
EXTRA_ROW_BIAS = -1e4


@dataclass(frozen=True)
class ConversionPlan:
    """What will be written, from what, and what is left out. `extra_rows` are rows behind the dictionary's."""

    description: SourceDescription
    rows: tuple[Row, ...]
    dropped: tuple[Dropped, ...]
    extra_rows: int
    config: dict[str, object]
    model_type: str
    architecture: str


def plan_conversion(description: SourceDescription, canonical: Canonical, extra_rows: int = 0) -> ConversionPlan:
    """Maps every tensor.

    Args:
        extra_rows: rows that the tokenizer needs behind the last one; each reads as `<unk>`.

    Raises:
        NotRepresentable: if the target cannot hold the model, or a tensor has no place in it.
        UnreadableCheckpoint: if tensors are missing or have wrong shapes.
    """
    check_activation(description)
    target = target_for(description)
    application = apply_target(
        target.masked_lm_rules(description), canonical.tensors, sizes(description), description.layers,
        description.dtype,
    )  # fmt: skip
    _refuse_problems(application, target)
    rows = tuple(_with_extra_rows(row, extra_rows, target) for row in application.rows)
    return ConversionPlan(
        description,
        tuple(sorted(rows, key=lambda row: row.target)),
        (*canonical.dropped, *application.dropped),
        extra_rows,
        target.config(description, extra_rows),
        target.MODEL_TYPE,
        target.MASKED_LM,
    )


def _with_extra_rows(row: Row, count: int, target: Target) -> Row:
    if count and row.target in target.VOCABULARY_MATRICES:
        return extend(row, count, copy_row=UNK)
    if count and row.target in VOCABULARY_BIASES:
        return extend(row, count, fill=EXTRA_ROW_BIAS)
    return row


def _refuse_problems(found: Application, target: Target) -> None:
    problems = [
        *(f"missing: {text}" for text in found.missing),
        *(f"wrong shape: {text}" for text in found.mismatched),
        *(f"no place for: {text}" for text in found.unknown),
    ]
    if found.unknown:
        raise NotRepresentable(
            f"the model has {len(found.unknown)} tensors that {target.MASKED_LM} has no place for",
            problems=problems,
            advice="Leaving them out would change what it computes:",
        )
    if problems:
        raise UnreadableCheckpoint(
            f"{len(found.missing)} tensors are missing and {len(found.mismatched)} have the wrong shape",
            problems=problems,
            advice="The checkpoint is incomplete or damaged:",
        )
