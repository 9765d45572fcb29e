"""From the report's plain dictionary to `Content`, refusing by name what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from prenorm.errors import UsageProblem
from prenorm.reports.content import SCHEMA_VERSION, CheckLine, Content, Divergence, ModuleLine, Positions, TensorLine
from prenorm.reports.text import Outcome, as_number

_Report = Mapping[str, object]
# What a line of `checks` holds besides its metrics.
_NOT_METRICS = {"name", "tolerance", "judged", "passed", "outcome"}
_FITNESS = "fitness"  # the kind of report that `verify --folder-only` writes; others have no kind


def read(report: _Report) -> Content:
    """The report's content, typed.

    Raises:
        UsageProblem: if `report` is of another schema version, or a key is missing or of the wrong type.
    """
    if not isinstance(report, Mapping):
        raise UsageProblem("this is not a parity report: it is not a JSON object")
    version = report.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise UsageProblem(
            f"this is not a parity report of schema_version {SCHEMA_VERSION}: 'schema_version' is {version!r:.60}",
            advice="Render it with the prenorm that wrote it",
        )
    noise = _optional_table(report, "noise_floor")
    floors = _optional_table(noise, "modules")
    kind = report.get("kind")
    if kind is not None and kind != _FITNESS:
        raise _refusal("kind", f"'{_FITNESS}', or absent")
    return Content(
        fitness=kind == _FITNESS,
        stated_pass=_flag(report, "passed"),
        verdict=_string(report, "verdict"),
        reference=_string(report, "reference"),
        compute_dtype=_string(report, "compute_dtype"),
        source=_table(report, "source"),
        target=_table(report, "target"),
        environment=_table(report, "environment"),
        checks=[_check(item, fitness=kind == _FITNESS) for item in _tables(report, "checks")],
        modules=[_module(item) for item in _tables(report, "modules")],
        tensors=[_tensor(item) for item in _tables(report, "tensors")],
        problems=_strings(report, "problems"),
        stated_disagreements=_strings(report, "disagreements") if "disagreements" in report else [],
        divergence=_divergence(report),
        noise_floor={name: _number(floors, name) for name in floors},
        logits_noise_floor=None if noise.get("logits") is None else _number(noise, "logits"),
        positions=_positions(report),
        runtimes=_strings(report, "runtimes") if "runtimes" in report else [],
        probe=_optional_table(report, "probe"),
        cost_of_type=_optional_table(report, "cost_of_type"),
    )


def _check(line: _Report, *, fitness: bool) -> CheckLine:
    """Only in a report of fitness may a check be left out: a proof of parity has to be whole."""
    return CheckLine(
        name=_string(line, "name"),
        passed=_flag(line, "passed"),
        judged=_flag(line, "judged"),
        tolerance=None if line.get("tolerance") is None else _number(line, "tolerance"),
        metrics={name: value for name, value in line.items() if name not in _NOT_METRICS},
        run=not (fitness and line.get("outcome") == Outcome.NOT_RUN.value and not _flag(line, "passed")),
    )


def _module(line: _Report) -> ModuleLine:
    return ModuleLine(
        name=_string(line, "name"),
        max_abs_diff=_number(line, "max_abs_diff"),
        tolerance=None if line.get("tolerance") is None else _number(line, "tolerance"),
        passed=_flag(line, "passed"),
    )


def _tensor(line: _Report) -> TensorLine:
    return TensorLine(
        source=None if line.get("source") is None else _string(line, "source"),
        target=None if line.get("target") is None else _string(line, "target"),
        operation=_string(line, "operation"),
        reason=_string(line, "reason"),
        equal=None if line.get("equal") is None else _flag(line, "equal"),
    )


def _divergence(report: _Report) -> Divergence | None:
    """The divergence with its rule and hint; in older reports the module's name alone."""
    found = _optional_table(report, "divergence")
    if found:
        texts = [found.get(key) or "" for key in ("rule", "hint")]
        return Divergence(_string(found, "module"), *map(str, texts))
    if report.get("first_divergence") is not None:
        return Divergence(_string(report, "first_divergence"), "", "")
    return None


def _positions(report: _Report) -> Positions | None:
    found = _optional_table(report, "positions")
    if not found:
        return None
    modules, rows = _strings(found, "modules"), _list(found, "max_abs_diff")
    if len(modules) != len(rows):
        raise _refusal("positions", f"one row of 'max_abs_diff' for each of its {len(modules)} modules")
    return Positions(modules, [_numbers(row) for row in rows])


def _numbers(row: object) -> list[float]:
    values = [as_number(item) for item in row] if _is_list(row) else [None]
    found = [value for value in values if value is not None]
    if len(found) != len(values):
        raise _refusal("max_abs_diff", "a list of lists of numbers")
    return found


def _refusal(key: str, wanted: str) -> UsageProblem:
    return UsageProblem(
        f"this is not a parity report: '{key:.60}' must be {wanted}", advice="Render a report as written"
    )


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _string(holder: _Report, key: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        raise _refusal(key, "a text")
    return value


def _flag(holder: _Report, key: str) -> bool:
    value = holder.get(key)
    if not isinstance(value, bool):
        raise _refusal(key, "true or false")
    return value


def _number(holder: _Report, key: str) -> float:
    value = as_number(holder.get(key))
    if value is None:
        raise _refusal(key, "a number")
    return value


def _list(holder: _Report, key: str) -> Sequence[object]:
    value = holder.get(key)
    if not _is_list(value):
        raise _refusal(key, "a list")
    return value


def _strings(holder: _Report, key: str) -> list[str]:
    found = [item for item in _list(holder, key) if isinstance(item, str)]
    if len(found) != len(_list(holder, key)):
        raise _refusal(key, "a list of texts")
    return found


def _table(holder: _Report, key: str) -> _Report:
    value = holder.get(key)
    if not isinstance(value, Mapping):
        raise _refusal(key, "an object")
    return value


def _tables(holder: _Report, key: str) -> list[_Report]:
    found = [item for item in _list(holder, key) if isinstance(item, Mapping)]
    if len(found) != len(_list(holder, key)):
        raise _refusal(key, "a list of objects")
    return found


def _optional_table(holder: _Report, key: str) -> _Report:
    return {} if holder.get(key) is None else _table(holder, key)
