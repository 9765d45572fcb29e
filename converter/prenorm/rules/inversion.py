"""The way back: rules turned round, target to source, and applied so that nothing is lost silently.

Every rule has an inverse. Those that move tensors (`Rename`, `Split`) are undone by one that moves them back; a `Constant` by
`Expect`, which lets its tensor go once it holds what it must; a `Drop` by `Copy` where another tensor has the same bytes, and
by `Absent` where nothing has them: that one restores nothing, and is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prenorm.checkpoint.dtypes import torch_dtype
from prenorm.checkpoint.sameness import have_same_bytes
from prenorm.checkpoint.tensors import SourceTensor, bytes_of, tensor_bytes
from prenorm.rules.derived import JoinedTensor
from prenorm.rules.rules import Constant, Drop, Rename, Split, expand, match


@dataclass(frozen=True)
class Unify:
    """The tensors of `sources` must hold the same bytes, and become one: a `Rename` turned round."""

    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Join:
    """The tensors of `sources` become one, one after another along dimension 0: a `Split` turned round."""

    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Expect:
    """The tensor must hold `value` throughout, and goes: a `Constant` turned round."""

    source: str
    value: float
    reason: str


@dataclass(frozen=True)
class Copy:
    """The tensor is made as a copy of the restored tensor `source`: a `Drop` of the same bytes turned round."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Absent:
    """The tensors of this family stay away, because nothing holds their bytes: a `Drop` turned round."""

    target: str
    reason: str


Inverse = Unify | Join | Expect | Copy | Absent


def invert(rules: Sequence[Rename | Split | Drop | Constant]) -> tuple[Inverse, ...]:
    """Turn rules round.

    Args:
        rules: a layout's or a target's table.

    Returns:
        One inverse for every rule, in the same order.
    """
    return tuple(map(_inverse, rules))


def _inverse(rule: Rename | Split | Drop | Constant) -> Inverse:
    if isinstance(rule, Rename):
        return Unify(rule.targets, rule.source)
    if isinstance(rule, Split):
        return Join(rule.targets, rule.source)
    if isinstance(rule, Constant):
        return Expect(rule.target, rule.value, rule.reason)
    return Absent(rule.source, rule.reason) if rule.same_as is None else Copy(rule.same_as, rule.source, rule.reason)


@dataclass(frozen=True)
class Restoration:
    """What inverted rules made of tensors: every tensor that went in is in exactly one of the first three.

    Attributes:
        tensors: what was restored, by its name on the source's side.
        untouched: the tensors that no rule speaks of, by the name that they came with.
        spent: the names of tensors that had to hold a constant, and do.
        absent: the rules of tensors that nothing restores.
        problems: what does not fit: a part that is missing, two tensors that differ, a constant that is none.
    """

    tensors: dict[str, SourceTensor]
    untouched: dict[str, SourceTensor]
    spent: tuple[str, ...]
    absent: tuple[Absent, ...]
    problems: tuple[str, ...]


def restore(rules: Sequence[Inverse], tensors: Mapping[str, SourceTensor], layers: int | None = None) -> Restoration:
    """Apply inverted rules.

    Args:
        rules: what `invert` made of a table.
        tensors: the tensors on the target's side, by name.
        layers: the model's number of layers, where every family that a rule moves must be whole, as a target's are; None
            where families may be absent, as a layout's may.

    Returns:
        The tensors on the source's side, and an account of all the others.
    """
    restored: dict[str, SourceTensor] = {}
    used: set[str] = set()
    spent: list[str] = []
    problems: list[str] = []
    for rule in rules:
        if isinstance(rule, Unify | Join):
            for name, parts in _groups(rule, tensors, layers, problems):
                if name in restored:
                    problems.append(f"two tensors would both become '{name}'")
                restored[name] = _together(rule, parts, problems)
                used |= parts.keys()
        elif isinstance(rule, Expect):
            if rule.source in tensors:
                spent.append(rule.source)
                problems += _unexpected(rule, tensors[rule.source])
            else:
                problems.append(f"'{rule.source}' is missing")
    copies = [rule for rule in rules if isinstance(rule, Copy)]
    restored |= {rule.target: restored[rule.source] for rule in copies if rule.source in restored}
    untouched = {name: tensor for name, tensor in tensors.items() if name not in used and name not in spent}
    absent = tuple(rule for rule in rules if isinstance(rule, Absent))
    return Restoration(restored, untouched, tuple(spent), absent, tuple(problems))


def _groups(
    rule: Unify | Join, tensors: Mapping[str, SourceTensor], layers: int | None, problems: list[str]
) -> Iterator[tuple[str, dict[str, SourceTensor]]]:
    """Yield each restored tensor's name with the tensors it is made of, in the rule's order."""
    members = [] if layers is None else list(expand(rule.target, layers))
    members += [fields for source in rule.sources for key in tensors if (fields := match(source, key)) is not None]
    for fields in {frozenset(fields.items()): fields for fields in members}.values():
        names = [source.format(**fields) for source in rule.sources]
        missing = [name for name in names if name not in tensors]
        problems += [f"'{name}' is missing, for '{rule.target.format(**fields)}'" for name in missing]
        if not missing:
            yield rule.target.format(**fields), {name: tensors[name] for name in names}


def _together(rule: Unify | Join, parts: Mapping[str, SourceTensor], problems: list[str]) -> SourceTensor:
    """Return the one tensor that `parts` make, and say where they do not fit."""
    (first_name, first), *others = parts.items()
    if isinstance(rule, Unify):
        problems += [f"'{name}' is not the same as '{first_name}'" for name, other in others
                     if not have_same_bytes(first, other)]  # fmt: skip
        return first
    differing = [name for name, other in others if (other.dtype, other.shape) != (first.dtype, first.shape)]
    problems += [f"'{name}' is not of the type and shape of '{first_name}'" for name in differing]
    shape = (sum(part.shape[0] for part in parts.values()), *first.shape[1:])
    return first if differing else JoinedTensor(tuple(parts.values()), 0, shape)


def _unexpected(rule: Expect, tensor: SourceTensor) -> list[str]:
    import torch

    expected = tensor_bytes(torch.full(tensor.shape, rule.value, dtype=torch_dtype(tensor.dtype)))
    return [] if bytes_of(tensor) == expected else [f"'{rule.source}' is not {rule.value:g} throughout"]
