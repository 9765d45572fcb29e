"""The tensor audit as a table that can be searched; without script it is the whole table."""

from __future__ import annotations

from collections.abc import Sequence

from prenorm.reports.markup import Markup, element, name_cell, row, table
from prenorm.reports.model import AuditRow
from prenorm.reports.text import count

_HEAD = ("source tensor", "target tensor", "operation", "bits", "reason")
# The choices of the filter: value of the row's `data-kind`, and what people read.
_KINDS = {
    "different": "different",
    "equal": "moved and equal",
    "made": "moved, not compared",
    "dropped": "left out",
}


def tensor_section(tensors: Sequence[AuditRow]) -> Markup | None:
    """The section; None without tensors. What differs comes first."""
    if not tensors:
        return None
    different = sum(item.equal is False for item in tensors)
    ordered = sorted(tensors, key=lambda item: item.equal is not False)
    return element(
        "section",
        element("h2", "Tensors"),
        element("p", f"{count(len(tensors), 'tensor')}, {different} different in a bit."),
        _filter(tensors),
        table(_HEAD, map(_row, ordered), id="tensors"),
    )


def _filter(tensors: Sequence[AuditRow]) -> Markup:
    """Hidden until the script, which it needs, shows it."""
    kinds = {_kind(item) for item in tensors}
    options = (element("option", words, value=kind) for kind, words in _KINDS.items() if kind in kinds)
    return element(
        "form",
        element("label", "Find ", element("input", type="search", id="find", placeholder="part of a name or reason")),
        element("label", "Show ", element("select", element("option", "all", value=""), *options, id="kind")),
        element("output", id="shown", for_="find kind"),
        id="filter",
        hidden=True,
    )


def _kind(item: AuditRow) -> str:
    if item.equal is False:
        return "different"
    if item.target is None:
        return "dropped"
    return "equal" if item.equal else "made"


def _row(item: AuditRow) -> Markup:
    symbol = {True: "✓ ", False: "✗ ", None: "– "}[item.equal]
    bits = element("span", element("span", symbol, aria_hidden="true"), item.bits, class_=f"outcome {_colour(item)}")
    cells = (name_cell(item.source), name_cell(item.target), item.operation, bits, item.reason)
    return row(_HEAD, cells, data_kind=_kind(item))


def _colour(item: AuditRow) -> str:
    return {True: "passed", False: "failed", None: "neutral"}[item.equal]
