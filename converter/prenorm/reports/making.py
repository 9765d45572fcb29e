"""Making a report: its verdict follows from what it is filled with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from prenorm.reports.details import Diagnosis, Example, NoiseFloor, PositionLines, TensorDifference
from prenorm.reports.environment import environment
from prenorm.reports.model import Audit, Check, ModuleLine, Report
from prenorm.reports.text import Outcome


def report_of_proof(
    *,
    reference: str,
    compute_dtype: str,
    source: Mapping[str, object],
    target: Mapping[str, object],
    checks: Sequence[Check],
    modules: Iterable[ModuleLine],
    audit: Audit,
    runtimes: Sequence[str],
    positions: PositionLines | None = None,
    divergence: Diagnosis | None = None,
    different_tensors: Sequence[TensorDifference] = (),
    disagreements: Sequence[str] = (),
    noise_floor: NoiseFloor | None = None,
    cost_of_type: Mapping[str, object] | None = None,
    other_activation: Mapping[str, object] | None = None,
    examples: Sequence[Example] = (),
) -> Report:
    """Make the report of a proof; the verdict follows from its checks and disagreements.

    Args:
        reference: what computed the checkpoint's side.
        compute_dtype: the type that the folder computed in.
        source: what is known of the checkpoint.
        target: what is known of the folder.
        checks: every check, in the order of the parity table.
        modules: the target's modules in computing order.
        audit: every tensor's fate.
        runtimes: what ran the folder.
        positions: the differences by position, where they were measured.
        divergence: the first divergence, where there is one.
        different_tensors: the target tensors with other bits than planned, in computing order.
        disagreements: a sentence for everything that disagrees.
        noise_floor: how far float32 is from float64 on the reference's side, where it was measured.
        cost_of_type: what rounding to the folder's type cost, where it was rounded.
        other_activation: how far the other form of GELU is, for a model of which that may be asked.
        examples: what a masked LM fills in.

    Returns:
        The report, with the versions of this environment.
    """
    lines = tuple(modules)
    agrees = all(check.passed for check in checks) and not disagreements
    judged = all(check.judged for check in checks)
    verdict = Outcome.FAILED if not agrees else Outcome.PASSED if judged else Outcome.NOT_JUDGED
    return Report(
        passed=verdict is Outcome.PASSED,
        verdict=verdict.value,
        reference=reference,
        compute_dtype=compute_dtype,
        source=dict(source),
        target=dict(target),
        checks=tuple(checks),
        modules=lines,
        first_divergence=next((line.name for line in lines if not line.passed), None),
        divergence=divergence,
        different_tensors=tuple(different_tensors) or None,
        disagreements=tuple(disagreements),
        runtimes=tuple(runtimes),
        noise_floor=noise_floor,
        cost_of_type=None if cost_of_type is None else dict(cost_of_type),
        other_activation=None if other_activation is None else dict(other_activation),
        examples=tuple(examples) or None,
        positions=positions,
        problems=audit.problems,
        tensors=audit.rows,
        environment=environment(),
    )


def with_unjudged(report: Report, rows: Sequence[Check]) -> Report:
    """Add what was not judged to a report; a verdict that was passed names what of it counts.

    Args:
        report: the report of a proof or a trial.
        rows: made by `Check.not_judged`.

    Returns:
        The report with these rows behind its checks.
    """
    longer = structs.replace(report, checks=(*report.checks, *rows))
    return structs.replace(longer, verdict=longer.words) if longer.outcome is Outcome.PASSED else longer


def report_of_trial(
    *,
    reference: str,
    target: Mapping[str, object],
    checks: Sequence[Check],
    disagreements: Sequence[str],
    versions: Mapping[str, str],
) -> Report:
    """Make the report of a folder's trial; it passes if something was run, and nothing of it failed.

    Args:
        reference: what the folder was tried in.
        target: what is known of the folder.
        checks: every check, in the order of the table.
        disagreements: a sentence for every problem.
        versions: the versions of what it was tried in.

    Returns:
        The report.
    """
    outcomes = [check.outcome for check in checks]
    passed = Outcome.FAILED not in outcomes and Outcome.PASSED in outcomes
    return Report(
        kind="fitness",
        passed=passed,
        verdict=(Outcome.PASSED if passed else Outcome.FAILED).value,
        reference=reference,
        compute_dtype="float32",
        source={},
        target=dict(target),
        checks=tuple(checks),
        modules=(),
        first_divergence=None,
        disagreements=tuple(disagreements),
        problems=(),
        tensors=(),
        environment=dict(versions),
    )
