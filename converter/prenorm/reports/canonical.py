"""The report as JSON that every parser reads: the bytes of `parity_report.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

_SURROGATES = re.compile("[\ud800-\udfff]")


def render(report: Mapping[str, object]) -> str:
    """Indented JSON, ending in a newline; what is in it comes out as it is, in its own order.

    NaN and infinity, for which JSON has no number, become the strings "NaN", "Infinity" and "-Infinity"; a half of a
    surrogate pair, which UTF-8 cannot hold, becomes its escape.
    """
    text = json.dumps(_spelled_out(report), indent=2, ensure_ascii=False, allow_nan=False)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _spelled_out(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _spelled_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled_out(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
