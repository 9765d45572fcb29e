"""A report with its texts changed, such as names that must not be published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, structs

from prenorm.reports.model import Report


def with_texts(report: Report, change: Callable[[str], str]) -> Report:
    """Change every text of a report, the keys of its free-form tables included.

    Args:
        report: the report.
        change: makes the text that stands in a text's place.

    Returns:
        The changed report.
    """
    changed: Report = _changed(report, change)
    return changed


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Struct):
        fields = {name: _changed(getattr(value, name), change) for name in value.__struct_fields__}
        return structs.replace(value, **fields)
    if isinstance(value, Mapping):
        return {change(key): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_changed(item, change) for item in value)
    return value
