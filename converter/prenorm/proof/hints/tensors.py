"""The tensors of a folder that differ from the plan's: which, by how much, and what each is nearest to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from msgspec import structs
from torch import Tensor

from prenorm.folder.published import read_stored, stored_names
from prenorm.mapping.plan import ConversionPlan
from prenorm.proof.checks.audit import planned_pieces
from prenorm.proof.hints.nearest import OtherTensor, differing, nearest
from prenorm.reports.details import TensorDifference
from prenorm.reports.model import AuditRow
from prenorm.reports.series import place_of
from prenorm.rules.rows import Row

# Where many tensors differ, the first tell what happened; and the search reads each some times.
_MOST_DESCRIBED = 64
_MOST_VALUES = 1 << 28
# The parts of a layer in computing order, in either architecture.
_PARTS = (
    "attention.LayerNorm", "attention.self_attn_layer_norm", "attention.self.query", "attention.self.key",
    "attention.self.value", "attention.output.dense", "intermediate.LayerNorm", "LayerNorm", "intermediate.dense",
    "output.dense",
)  # fmt: skip
_TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings", "embeddings.LayerNorm")
_SPLIT_IN_HEADS = ("query", "key", "value")


def different_tensors(
    folder: Path, rows: Sequence[Row], audited: Sequence[AuditRow], plan: ConversionPlan
) -> tuple[TensorDifference, ...]:
    """Describe the tensors that the audit found different.

    Args:
        folder: the safetensors files.
        rows: what the folder must hold.
        audited: every tensor's fate.
        plan: what the folder must be.

    Returns:
        The tensors in computing order. The first of them come with what they are nearest to, where that is known.
    """
    unequal = {row.target for row in audited if row.equal is False and row.target is not None}
    if not unequal:
        return ()
    search = _Search({row.target: row for row in rows}, dict(stored_names(folder)), plan.description.attention_heads)
    wrong = sorted((row for row in rows if row.target in unequal), key=lambda row: computing_order(row.target))
    return tuple(search.describe(row, n < _MOST_DESCRIBED) for n, row in enumerate(wrong))


def computing_order(name: str) -> tuple[int, int, str]:
    """Return where a target tensor stands in the computation, to sort by.

    Args:
        name: the tensor's name.

    Returns:
        The stage, the place in it, and the name, which comes last.
    """
    module, _, kind = name.rpartition(".")
    name = f"{module} {kind != 'weight':d}{kind}"  # a weight tells more than its bias
    place = place_of(module)
    if place.in_layer:
        inner = module.partition(f".{place.group}.")[2]
        return 1 + int(place.group), _PARTS.index(inner) if inner in _PARTS else len(_PARTS), name
    table = next((n for n, part in enumerate(_TABLES) if module.endswith(part)), None)
    if table is not None:
        return 0, table, name
    behind = 1 << 30
    return (behind + (not module.endswith("LayerNorm")), 0, name)


def tensor_in_words(target: str, source: str | None) -> str:
    """Return what people call a tensor.

    Args:
        target: its name in the folder.
        source: its name in the checkpoint, if it has one.

    Returns:
        Such as "layer 0's key weight ('encoder...k_proj.weight')".
    """
    module, _, kind = target.rpartition(".")
    place = place_of(module)
    if not place.in_layer:
        return f"'{source or target}'"
    return f"layer {place.group}'s {place.part} {kind} ('{source or target}')"


def tensor_behind(module: str, tensors: Sequence[TensorDifference]) -> TensorDifference | None:
    """Return the tensor that makes a module diverge.

    Args:
        module: the first module that diverges, by its name in the report.
        tensors: those that differ, in computing order.

    Returns:
        The module's own; else the last before it in its stage, such as the norm that it is fed by; else the first of all.
    """
    names = (f"{module}.", f"{module.partition('.')[2] or module}.")  # a folder without a head has no prefix
    of_module = [item for item in tensors if item.target.startswith(names)]
    at = computing_order(f"{module}.weight")[:2]
    before = [item for item in tensors if (at[0],) <= computing_order(item.target)[:2] <= at]
    nearest_first = sorted(before, key=lambda item: computing_order(item.target)[:2], reverse=True)
    return next(iter([*of_module, *nearest_first, *tensors]), None)


@dataclass
class _Search:
    """The search for what a tensor is nearest to, with bounded work."""

    rows: Mapping[str, Row]
    files: Mapping[str, Path]
    heads: int
    left: int = field(default=_MOST_VALUES)

    def describe(self, row: Row, searched: bool) -> TensorDifference:
        """Return by how much one tensor differs and, if it is searched, what it is nearest to."""
        actual, values = self._stored(row.target), math.prod(row.shape)
        made = TensorDifference(row.target, row.source, str(row.operation), values)
        if actual is None or not actual.is_floating_point() or values > self.left or not values:
            return made
        self.left -= values
        wanted = planned_values(row)
        if actual.shape != wanted.shape:
            shapes = f"has shape {list(actual.shape)}, where {list(wanted.shape)} is planned"
            count, first, words = values, None, shapes
            if wanted.dim() == 2 and actual.shape == wanted.T.shape and torch.equal(actual, wanted.T.to(actual.dtype)):
                words = f"is transposed: it {shapes}"
            return structs.replace(made, differing=count, first=first, nearest=words)
        count, first = differing(actual, wanted)
        split = any(f".{part}." in row.target for part in _SPLIT_IN_HEADS)
        heads = self.heads if split else None
        known = nearest(actual, wanted, list(self._candidates(row)), heads) if searched else None
        return structs.replace(made, differing=count, first=first, nearest=known)

    def _stored(self, name: str) -> Tensor | None:
        """Return a tensor of the folder; None if there is none of that name."""
        return read_stored(self.files[name], name) if name in self.files else None

    def _candidates(self, row: Row) -> Iterator[OtherTensor]:
        """Yield the other tensors that have the shape, or that of the transpose."""
        module = row.target.rpartition(".")[0]
        others = [item for item in self.rows.values() if item.target != row.target and item.moved is not None]
        for item in sorted(others, key=lambda item: (not item.target.startswith(module), computing_order(item.target))):
            if item.shape in (row.shape, row.shape[::-1]):
                words = tensor_in_words(item.target, item.source)
                yield OtherTensor(words, item.shape, partial(planned_values, item), self._stands_in(item.target))

    def _stands_in(self, name: str) -> Callable[[Tensor], bool]:
        """Return what says whether the folder has these values under that name."""

        def stands_in(values: Tensor) -> bool:
            actual = self._stored(name)
            return actual is not None and actual.shape == values.shape and torch.equal(actual.to(values.dtype), values)

        return stands_in


def planned_values(row: Row) -> Tensor:
    """Return the values that a row of the plan makes.

    Args:
        row: the target tensor.

    Returns:
        The values, the extra rows included, in the planned type.
    """
    pieces = planned_pieces(row)
    return torch.cat(pieces) if len(pieces) > 1 else pieces[0]
