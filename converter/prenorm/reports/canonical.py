"""The report as JSON that every parser reads: the bytes of `parity_report.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from prenorm.reports.model import Report

_SURROGATES = re.compile("[\ud800-\udfff]")


def render(report: Report) -> str:
    """Write a report as the content of `parity_report.json`.

    Args:
        report: the report.

    Returns:
        Indented JSON that ends in a newline.
    """
    return dump(report.to_dict())


def dump(content: Mapping[str, object]) -> str:
    """Write plain data as indented JSON, in its own order.

    NaN and infinity, for which JSON has no number, become the strings "NaN", "Infinity" and "-Infinity"; a half of a
    surrogate pair, which UTF-8 cannot hold, becomes its escape.

    Args:
        content: what JSON can hold, and floats that it cannot.

    Returns:
        The text, which ends in a newline.
    """
    text = json.dumps(_spelled_out(content), indent=2, ensure_ascii=False, allow_nan=False)
    return _SURROGATES.sub(lambda matched: f"\\u{ord(matched[0]):04x}", text) + "\n"


def _spelled_out(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _spelled_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled_out(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
