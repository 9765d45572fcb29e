"""The folder's tensors against the plan's: the rows to audit, under the folder's names and in its types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from prenorm.checkpoint.dtypes import FLOATING_TYPES
from prenorm.folder.published import StoredTensor
from prenorm.mapping.plan import ConversionPlan
from prenorm.options import TaskKind
from prenorm.rules.derived import cast
from prenorm.rules.rows import Row

# Names under which transformers may store a tensor that has another name, too, and tables that are no weights.
_ALIASES = {"lm_head.decoder.bias": "lm_head.bias", "lm_head.bias": "lm_head.decoder.bias"}
_WORDS = "word_embeddings.weight"
_TABLES = ("embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True)
class PlannedWeights:
    """What a folder must hold, tensor by tensor.

    Attributes:
        rows: the target tensors.
        allowed: other names that it may have.
        problems: a sentence for every tensor of another shape.
        dtype: the type of most of the model.
        tied: whether the LM head's matrix was left out for being the word embeddings.
    """

    rows: tuple[Row, ...]
    allowed: tuple[str, ...]
    problems: tuple[str, ...]
    dtype: str
    tied: bool


def vocabulary_rows(stored: Mapping[str, StoredTensor]) -> int | None:
    """Return how many rows a folder's word embeddings have.

    Args:
        stored: the folder's tensors.

    Returns:
        The rows; None if there are no word embeddings.
    """
    return next((item.shape[0] for name, item in stored.items() if name.endswith(_WORDS) and item.shape), None)


def _is_tied(plan: ConversionPlan) -> bool:
    """Return whether the LM head's matrix is left out of the folder for being the word embeddings."""
    return plan.task.kind is TaskKind.MASKED_LM and plan.description.shares_embedding


def expected_weights(plan: ConversionPlan, stored: Mapping[str, StoredTensor]) -> PlannedWeights:
    """Return the plan's rows under the names and in the types that a folder has them, where that changes no value.

    Args:
        plan: what the checkpoint becomes.
        stored: the folder's tensors; none, of one that was written from the plan.

    Returns:
        What the folder must hold.
    """
    planned = {row.target: row for row in plan.rows}
    if _is_tied(plan):
        table = next(row for name, row in planned.items() if name.endswith(_WORDS))
        if "lm_head.decoder.weight" in stored:
            planned["lm_head.decoder.weight"] = replace(table, target="lm_head.decoder.weight")
        if "lm_head.decoder.bias" in stored:
            planned["lm_head.decoder.bias"] = replace(planned["lm_head.bias"], target="lm_head.decoder.bias")
    for name, other in _ALIASES.items():
        if name in planned and name not in stored and other in stored and plan.description.shares_embedding:
            del planned[name]
    allowed = [name for name in stored if name.endswith(_TABLES)]
    if plan.task.kind is TaskKind.ENCODER:
        allowed += [name for name in stored if name.startswith("pooler.")]
    problems = [
        f"weights: '{name}' has shape {list(stored[name].shape)}, must be {list(row.shape)}"
        for name, row in planned.items()
        if name in stored and stored[name].shape != row.shape
    ]
    rows = tuple(
        _in_type(row, stored[row.target].dtype if row.target in stored else row.dtype) for row in planned.values()
    )
    types = {item.dtype for name, item in stored.items() if name in planned}
    dtype = types.pop() if len(types) == 1 else plan.description.dtype
    return PlannedWeights(rows, tuple(allowed), tuple(problems), dtype, _is_tied(plan))


def _in_type(row: Row, dtype: str) -> Row:
    """Return `row` rounded, or widened, to the floating-point type it is stored in."""
    if row.dtype == dtype or dtype not in FLOATING_TYPES:
        return row
    if row.moved is None:
        return replace(row, dtype=dtype)
    moved = replace(row.moved, tensor=cast(row.moved.tensor, dtype))
    return replace(row, moved=moved, dtype=dtype, operation=row.operation.followed_by(f", stored as {dtype}"))
