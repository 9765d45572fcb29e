"""The parity table: what people read first, in the terminal and on the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prenorm.reports.model import Check, Report


def parity_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Return the parity table.

    Args:
        report: the report.

    Returns:
        Check, largest difference, tolerance and outcome of each row.
    """
    return [
        (check.name, _worst(check), "" if check.tolerance is None else f"{check.tolerance:.1e}", _outcome(check))
        for check in report.checks
    ]


def _outcome(check: Check) -> str:
    return ("passed" if check.judged else "not judged") if check.passed else "FAILED"


def _worst(check: Check) -> str:
    metrics = check.metrics
    if check.detail is not None:
        return check.detail
    if "max_abs_diff" in metrics:
        return f"{metrics['max_abs_diff']:.1e}"
    if "compared_bit_by_bit" in metrics:
        return check.finding
    if "tokens" in metrics:
        return f"{metrics['wrong']} of {metrics['tokens']} wrong"
    count = metrics.get("disagreements", 0)
    return f"{count} disagreement{'' if count == 1 else 's'}"
