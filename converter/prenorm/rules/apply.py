"""Mappings applied: rules (`rules.py`) make of the source tensors the rows of a plan.

Applying a table to a checkpoint accounts for every source and every target tensor, and every disagreement is collected and
raised once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prenorm.rules.rows import Dropped, Moved, Operation, OperationKind, Row, constant
from prenorm.rules.rules import Constant, Drop, Rename, Split, expand, match


def apply_layout(
    rules: Sequence[Rename | Split | Drop], tensors: Mapping[str, Moved]
) -> tuple[dict[str, Moved], list[Dropped], list[str]]:
    """Bring tensors to canonical names; a key that no rule speaks of keeps its name.

    Args:
        rules: the layout's table.
        tensors: the tensors by the layout's names.

    Returns:
        The tensors by canonical name, the dropped ones, and the problems met (two tensors for one name, uneven cuts).
    """
    moved: dict[str, Moved] = {}
    dropped: list[Dropped] = []
    problems: list[str] = []
    for key, item in tensors.items():
        for name, result in _apply_first(rules, key, item, dropped, problems):
            if name in moved:
                problems.append(f"'{item.source}' and '{moved[name].source}' would both become '{name}'")
            moved[name] = result
    return moved, dropped, problems


def _apply_first(
    rules: Sequence[Rename | Split | Drop], key: str, item: Moved, dropped: list[Dropped], problems: list[str]
) -> Iterable[tuple[str, Moved]]:
    """Apply the first rule that matches `key`."""
    for rule in rules:
        fields = match(rule.source, key)
        if fields is None:
            continue
        if isinstance(rule, Drop):
            dropped.append(Dropped(item.source or key, item.tensor, rule.reason))
            return []
        names = [target.format(**fields) for target in rule.targets]
        if isinstance(rule, Rename):
            return [(name, replace(item, reason=_joined(item.reason, rule.reason))) for name in names]
        rows = item.tensor.shape[0] if item.tensor.shape else 0
        if rows % len(names):
            problems.append(f"'{item.source}' has {rows} rows, which do not divide into {len(names)} parts")
            return []
        size = rows // len(names)
        return [(name, _rows(item, i * size, size, rule.reason)) for i, name in enumerate(names)]
    return [(key, item)]


def _rows(item: Moved, start: int, length: int, reason: str) -> Moved:
    """Take `length` rows of a tensor from row `start` on."""
    return replace(
        item,
        tensor=item.tensor.narrow(start, length),
        operation=Operation(OperationKind.ROWS, f"rows {start}:{start + length} of {item.tensor.shape[0]}"),
        reason=_joined(item.reason, reason),
    )


def _joined(before: str, after: str) -> str:
    return "; ".join(filter(None, (before, after)))


@dataclass
class Application:
    """What a target's table made of the canonical tensors: rows, dropped tensors, and three kinds of problems."""

    rows: list[Row] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def apply_target(
    rules: Sequence[Rename | Drop | Constant],
    moved: Mapping[str, Moved],
    sizes: Mapping[str, int],
    layers: int,
    dtype: str,
) -> Application:
    """Apply a target's table: every rule to every tensor it speaks of, in the table's order.

    Args:
        rules: the target's table.
        moved: the source tensors by canonical name.
        sizes: what the rules' size names mean.
        layers: the model's number of layers.
        dtype: the type of tensors that are constants.

    Returns:
        The target's tensors, and every source tensor that is none of them.
    """
    result = Application()
    used: set[str] = set()
    for rule in rules:
        if isinstance(rule, Constant):
            shape = tuple(sizes[name] for name in rule.shape)
            result.rows.append(Row(rule.target, shape, dtype, constant(rule.value), rule.reason, fill=rule.value))
        elif isinstance(rule, Drop):
            keys = [key for key in moved if key not in used and match(rule.source, key) is not None]
            sources = ((source, moved[key].tensor) for key in keys for source in moved[key].sources or (key,))
            result.dropped += [Dropped(source, tensor, rule.reason) for source, tensor in sources]
            used.update(keys)
        else:
            used |= _rename(rule, moved, sizes, layers, result)
    result.unknown = [
        f"'{moved[key].source or key}', shape {_show(moved[key].tensor.shape)}" for key in moved if key not in used
    ]
    return result


def _rename(
    rule: Rename, moved: Mapping[str, Moved], sizes: Mapping[str, int], layers: int, result: Application
) -> set[str]:
    """Add the rows of one tensor family to `result`, and return the canonical names of those that are there."""
    used = set()
    shape = tuple(sizes[name] for name in rule.shape)
    for fields in expand(rule.source, layers):
        key, targets = rule.source.format(**fields), [target.format(**fields) for target in rule.targets]
        expected = _part(shape, fields)
        item = moved.get(key)
        if item is None:
            result.missing.append(f"'{key}' (for '{targets[0]}', shape {_show(expected)})")
            continue
        used.add(key)
        tensor = item.tensor
        if tensor.shape != expected:
            result.mismatched.append(
                f"'{item.source}' has shape {_show(tensor.shape)}, '{targets[0]}' needs {_show(expected)}"
            )
            continue
        reason = item.reason or rule.reason
        result.rows += [Row(name, tensor.shape, tensor.dtype, item.operation, reason, item) for name in targets]
    return used


def _part(shape: tuple[int, ...], fields: Mapping[str, str]) -> tuple[int, ...]:
    """Return the shape of the part that is meant: a rule states a weight's shape, and its bias has the first size only."""
    return shape[:1] if fields.get("p") == "bias" else shape


def _show(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
