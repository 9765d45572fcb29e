"""The checks of a report, made from comparisons and audits."""

from __future__ import annotations

from prenorm.options import TaskKind
from prenorm.proof.comparison import Comparison
from prenorm.proof.numbers.differences import Difference
from prenorm.proof.numbers.modules import ModuleDifferences
from prenorm.reports.model import Audit, Check


def comparison_checks(comparison: Comparison, suffix: str = "") -> tuple[Check, ...]:
    """Return the checks of one comparison: logits, where the model has some, modules, and the vocabulary's extra rows.

    Args:
        comparison: the comparison, done.
        suffix: what tells these checks from those of another runtime.

    Returns:
        The checks, in the report's order.
    """
    checks = [modules_check(comparison.modules, suffix)]
    if comparison.computation.kind is not TaskKind.ENCODER:
        checks.insert(0, _check(comparison.logits, suffix))
    if comparison.computation.extra_rows and comparison.computation.kind is TaskKind.MASKED_LM:
        checks.append(_check(comparison.extra, suffix))
    return tuple(checks)


def _check(difference: Difference, suffix: str) -> Check:
    """Return the check of one quantity."""
    metrics = difference.metrics()
    return Check(difference.name + suffix, difference.passed, metrics, difference.tolerance, difference.judged)


def modules_check(modules: ModuleDifferences, suffix: str = "") -> Check:
    """Return one check for all modules, with the metrics of the worst.

    Args:
        modules: the differences of all modules.
        suffix: what tells the check from that of another runtime.

    Returns:
        The check.
    """
    differences = modules.worst
    worst = max(differences, key=lambda item: item.exhausted)
    return Check(
        "modules" + suffix,
        modules.first_divergence is None,
        {**worst.metrics(), "modules": len(differences), "diverging": sum(not item.passed for item in differences)},
        worst.tolerance,
        modules.judged,
    )


def tensors_check(audited: Audit) -> Check:
    """Return one check for the audit.

    Args:
        audited: every tensor's fate.

    Returns:
        The check, with the numbers of tensors; those too many or missing are counted where there are any.
    """
    compared = [row for row in audited.rows if row.equal is not None]
    uneven = {name: number for name, number in (("surplus", audited.surplus), ("missing", audited.missing)) if number}
    return Check(
        "tensors",
        audited.passed,
        {
            "tensors": len(audited.rows),
            "compared_bit_by_bit": len(compared),
            "unequal": sum(row.equal is False for row in compared),
            "problems": len(audited.problems),
            **uneven,
        },
    )
