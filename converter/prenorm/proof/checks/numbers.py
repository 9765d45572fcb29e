"""From what was found to the checks of a report."""

from __future__ import annotations

from prenorm.options import TaskKind
from prenorm.proof.comparison import Comparison
from prenorm.proof.numbers.differences import Difference, ModuleDifferences
from prenorm.reports.model import Audit, Check


def comparison_checks(found: Comparison, suffix: str = "") -> tuple[Check, ...]:
    """The checks of one comparison: logits, where the model has some, modules, and the vocabulary's extra rows.

    Args:
        suffix: what tells these checks from those of another runtime.
    """
    checks = [modules_check(found.modules, suffix)]
    if found.computation.kind is not TaskKind.ENCODER:
        checks.insert(0, _check(found.logits, suffix))
    if found.computation.extra_rows and found.computation.kind is TaskKind.MASKED_LM:
        checks.append(_check(found.extra, suffix))
    return tuple(checks)


def _check(found: Difference, suffix: str) -> Check:
    return Check(found.name + suffix, found.passed, found.metrics(), found.tolerance, found.judged)


def modules_check(modules: ModuleDifferences, suffix: str = "") -> Check:
    """The worst of all modules stands for them."""
    found = list(modules.by_name.values())
    worst = max(found, key=lambda item: item.max_abs_diff / item.scale if item.scale else item.max_abs_diff)
    return Check(
        "modules" + suffix,
        modules.first_divergence is None,
        {**worst.metrics(), "modules": len(found), "diverging": sum(not item.passed for item in found)},
        worst.tolerance,
        all(item.judged for item in found),
    )


def tensors_check(audited: Audit) -> Check:
    """The audit in one line."""
    compared = [row for row in audited.rows if row.equal is not None]
    return Check(
        "tensors",
        audited.passed,
        {
            "tensors": len(audited.rows),
            "compared_bit_by_bit": len(compared),
            "unequal": sum(row.equal is False for row in compared),
            "problems": len(audited.problems),
        },
    )
