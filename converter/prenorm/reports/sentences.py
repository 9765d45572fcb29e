"""What a report is about, and its one sentence under the verdict: the same in every form."""

from __future__ import annotations

from prenorm.reports.model import Report
from prenorm.reports.series import margin, points
from prenorm.reports.text import Outcome, as_number, count, fact, number


def noun(report: Report) -> str:
    """Return the name of what was judged.

    Args:
        report: the report.

    Returns:
        'Parity' or 'Fitness'.
    """
    return "Fitness" if report.is_fitness else "Parity"


def file_name(report: Report) -> str:
    """Return the name of what was judged; not yet made visible.

    Args:
        report: the report.

    Returns:
        The checkpoint's file name; where there was none, the folder's.
    """
    if report.is_fitness:
        return fact(report.target.get("folder", "a folder"))
    return fact(report.source.get("file", "a checkpoint"))


def summary(report: Report) -> str:
    """Return the sentence under the verdict.

    Args:
        report: the report.

    Returns:
        One sentence, not yet made visible.
    """
    if report.is_fitness:
        return _fitness_summary(report)
    checks, failed = report.checks, report.failed_checks
    if report.outcome is Outcome.PASSED:
        made = count(len(report.checks_run), "check")
        return f"The folder computes what the checkpoint computes: {made}, all passed{_left_out(report)}."
    if report.outcome is Outcome.NOT_JUDGED:
        if not checks:
            return "The report holds no check, so it shows nothing."
        if report.judged:
            return f"The report's verdict is '{report.verdict}'."
        return "Some values are NaN or infinite, so agreement says nothing about them."
    if report.contradictions:
        return "The report contradicts itself, so its verdict is not believed."
    return (
        "The folder does not compute what the checkpoint computes: "
        f"{len(failed)} of {count(len(report.checks_run), 'check')} failed{_listed(failed)}."
    )


def margin_sentence(report: Report) -> str:
    """Return how far the numbers are from where they would fail, or beyond that.

    Args:
        report: the report.

    Returns:
        One sentence, not yet made visible; nothing where no number has a tolerance.
    """
    nearest = None if report.is_fitness else margin(points(report))
    return "" if nearest is None else nearest.sentence


_FORMS_OF_GELU = {"gelu": "the exact GELU", "gelu_new": "GELU in its tanh form"}


def activation_sentences(report: Report) -> list[str]:
    """Return which form of GELU the folder computes, how far the other one is, and how to get that.

    Args:
        report: the report.

    Returns:
        One sentence each for a model that was trained with DeepSpeed's kernels; nothing for any other.
    """
    measured = report.other_activation
    if measured is None:
        return []
    activation, other = fact(measured.get("activation")), fact(measured.get("other"))
    apart = [f"the logits differ by up to {number(as_number(measured.get('max_abs_diff')))}"]
    if "kl_mean" in measured:
        apart.append(f"KL divergence {number(as_number(measured['kl_mean']))} nats on average")
    return [
        f"This folder computes {_FORMS_OF_GELU.get(activation, activation)} ({activation}), and parity is about that.",
        f"With {_FORMS_OF_GELU.get(other, other)} ({other}) instead, {', '.join(apart)} on the probe; "
        f"--activation {other} converts to it.",
    ]


def _fitness_summary(report: Report) -> str:
    """Return the sentence for a trial of fitness, which counts what could not be run."""
    run, failed = report.checks_run, report.failed_checks
    if report.contradictions:
        return "The report contradicts itself, so its verdict is not believed."
    if not run:
        return "No check was run, so the report shows nothing."
    left_out = sum(check.outcome is Outcome.NOT_RUN for check in report.checks)
    also = f"; {left_out} more could not be run here" if left_out else ""
    if report.outcome is Outcome.PASSED:
        return f"The folder works where it is used: {count(len(run), 'check')}, all passed{also}{_left_out(report)}."
    if report.outcome is Outcome.FAILED:
        counted = f"{len(failed)} of {count(len(run), 'check')} failed"
        return f"The folder does not work everywhere it is used: {counted}{_listed(failed)}{also}."
    return f"The report's verdict is '{report.verdict}'."


def _left_out(report: Report) -> str:
    """Return the end of a sentence that names what was not judged."""
    names = [check.name for check in report.checks if check.counts is not None]
    return f"; not judged: {', '.join(names)}" if names else ""


def _listed(names: list[str]) -> str:
    return ": " + ", ".join(names) if names else ""
