"""From the JSON of a stored report to `Report`, refusing by name what does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import ValidationError, convert

from prenorm.errors import UsageProblem
from prenorm.reports.fields import SCHEMA_VERSION
from prenorm.reports.model import Report
from prenorm.reports.text import Outcome, as_number

# A check's keys that are fields; its other keys are metrics.
_FIELDS_OF_A_CHECK = {"name", "passed", "tolerance", "judged", "detail", "counts"}
_NUMBERS = {"max_abs_diff", "range", "tolerance"}
_PROBLEM = re.compile(r"(?P<problem>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<type>\w+)[^`]*`.*")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_TYPES = {
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "array": "a list",
    "object": "an object",
}


def read(stored: bytes | str | Mapping[str, Any]) -> Report:
    """Read a stored report.

    Args:
        stored: the JSON of a `parity_report.json`, or what a JSON reader made of it.

    Returns:
        The report.

    Raises:
        UsageProblem: if it is no JSON, or of another schema version, or a key is missing or of the wrong type.
    """
    content = _parse(stored) if isinstance(stored, bytes | str) else stored
    if not isinstance(content, Mapping):
        raise UsageProblem("this is not a parity report: it is not a JSON object")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise UsageProblem(
            f"this is not a parity report of schema_version {SCHEMA_VERSION}: 'schema_version' is {version!r:.60}",
            advice="Render it with the prenorm that wrote it",
        )
    try:
        report = convert(_as_fields(content), Report)
    except ValidationError as error:
        raise _refusal(*_key_and_rule(str(error))) from error
    if report.positions is not None and len(report.positions.modules) != len(report.positions.max_abs_diff):
        modules = len(report.positions.modules)
        raise _refusal("positions", f"one row of 'max_abs_diff' for each of its {modules} modules")
    return report


def _parse(text: bytes | str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageProblem("this is not a parity report: it is not JSON") from error


def _as_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file's content in the model's shape: metrics by themselves, spelled-out numbers as floats."""
    fitness = content.get("kind") == "fitness"
    shaped = dict(content)
    if isinstance(content.get("checks"), list | tuple):
        shaped["checks"] = [_check(item, fitness=fitness) for item in content["checks"]]
    if isinstance(content.get("modules"), list | tuple):
        shaped["modules"] = [_with_floats(item) for item in content["modules"]]
    shaped["divergence"] = content.get("divergence") or None
    shaped["positions"] = _with_floats(content.get("positions") or None)
    floor = content.get("noise_floor")
    if isinstance(floor, Mapping):
        shaped["noise_floor"] = {
            key: _floats(value, key)
            for key, value in floor.items()
            if value is not None and key in ("modules", "logits")
        }
    return shaped


def _check(line: Any, *, fitness: bool) -> Any:
    """Fold the metrics of a check. Only in a report of fitness may one be left out: a proof of parity has to be whole."""
    if not isinstance(line, Mapping):
        return line
    fields = {key: value for key, value in line.items() if key in _FIELDS_OF_A_CHECK}
    skipped = fitness and line.get("outcome") == Outcome.NOT_RUN.value and line.get("passed") is False
    metrics = {key: value for key, value in line.items() if key not in fields and key != "outcome"}
    return {**_with_floats(fields), "run": not skipped, "metrics": metrics}


def _with_floats(line: Any) -> Any:
    if not isinstance(line, Mapping):
        return line
    return {key: _floats(value, key) if key in _NUMBERS and value is not None else value for key, value in line.items()}


def _floats(value: Any, key: str) -> Any:
    """Return a number, or a list or object of numbers, as floats."""
    if isinstance(value, Mapping):
        return {name: _floats(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_floats(item, key) for item in value]
    number = as_number(value)
    if number is None:
        raise _refusal(key, "a number")
    return number


def _key_and_rule(message: str) -> tuple[str, str]:
    """Return the key that msgspec's message is about, and what must hold for it."""
    matched = _PROBLEM.fullmatch(message)
    problem, path = (matched["problem"], matched["path"] or "") if matched else (message, "")
    key = re.sub(r"\[[^]]*\]", "", path).rpartition(".")[2]
    if missing := _MISSING.fullmatch(problem):
        return missing["key"], "there"
    if expected := _EXPECTED.fullmatch(problem):
        return key, _TYPES.get(expected["type"], expected["type"])
    return key, "what the schema says"


def _refusal(key: str, wanted: str) -> UsageProblem:
    return UsageProblem(
        f"this is not a parity report: '{key:.60}' must be {wanted}", advice="Render a report as written"
    )
