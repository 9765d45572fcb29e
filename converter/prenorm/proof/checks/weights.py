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
_TABLES = ("embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True)
class ExpectedWeights:
    """What the folder must hold, tensor by tensor, and the names it may have beside."""

    rows: tuple[Row, ...]
    allowed: tuple[str, ...]
    problems: tuple[str, ...]
    dtype: str


def expected_weights(plan: ConversionPlan, stored: Mapping[str, StoredTensor]) -> ExpectedWeights:
    """The plan's rows under the names and in the types that the folder has them, where that changes no value."""
    planned = {row.target: row for row in plan.rows}
    if plan.task.kind is TaskKind.MASKED_LM and plan.description.shares_embedding:
        table = next(row for name, row in planned.items() if name.endswith("word_embeddings.weight"))
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
    return ExpectedWeights(
        rows, tuple(allowed), tuple(problems), types.pop() if len(types) == 1 else plan.description.dtype
    )


def _in_type(row: Row, dtype: str) -> Row:
    """`row` rounded, or widened, to the floating-point type it is stored in."""
    if row.dtype == dtype or dtype not in FLOATING_TYPES:
        return row
    if row.moved is None:
        return replace(row, dtype=dtype)
    moved = replace(row.moved, tensor=cast(row.moved.tensor, dtype))
    return replace(row, moved=moved, dtype=dtype, operation=f"{row.operation}, stored as {dtype}")
