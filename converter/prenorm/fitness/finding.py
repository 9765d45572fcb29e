"""What a check of fitness finds, and the report of all of them, which has the form of every report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prenorm.reports.environment import environment, package_version
from prenorm.reports.model import Check, Report
from prenorm.reports.text import Outcome

# What the checks run in, besides what every report names.
_LIBRARIES = ("transformers", "accelerate", "onnx", "onnxscript", "onnxruntime", "sentence-transformers")


class Unfit(Exception):
    """A check failed.

    Attributes:
        problems: sentences, the first of which stands in the table.
        metrics: as in `Finding`.
    """

    def __init__(self, problems: Sequence[str], metrics: Mapping[str, float] | None = None) -> None:
        """Keep what is wrong.

        Args:
            problems: sentences, at least one.
            metrics: as in `Finding`.
        """
        self.problems = tuple(problems)
        self.metrics = dict(metrics or {})
        super().__init__("; ".join(problems))

    def within(self, place: Path, name: str) -> Unfit:
        """Name the folder instead of the path at which the libraries saw it: no report names a path.

        Args:
            place: the path.
            name: the folder's name.

        Returns:
            The same failure, with other words.
        """
        return Unfit([text.replace(str(place), name) for text in self.problems], self.metrics)


def refuse(problems: Sequence[str]) -> None:
    """End a check that found problems.

    Args:
        problems: a sentence each; none, if the folder is fit.

    Raises:
        Unfit: if there are any.
    """
    if problems:
        raise Unfit(problems)


class NotRun(Exception):
    """A check could not be made, and why. It is shown as not run, and never as passed."""


@dataclass(frozen=True)
class Finding:
    """What a check that passed has seen.

    Attributes:
        detail: some words for the table.
        metrics: numbers by name; `max_abs_diff` and `tolerance` where two computations were compared.
    """

    detail: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One thing that was tried: its line of the report, and a sentence for each problem."""

    check: Check
    problems: tuple[str, ...] = ()

    @classmethod
    def passing(cls, name: str, finding: Finding) -> Trial:
        """Make the line of a check that returned.

        Args:
            name: the check's name.
            finding: what it returned.

        Returns:
            A passed trial.
        """
        return cls(_line(name, finding.detail, finding.metrics, passed=True))

    @classmethod
    def failing(cls, name: str, unfit: Unfit) -> Trial:
        """Make the line of a check that failed.

        Args:
            name: the check's name.
            unfit: what it raised.

        Returns:
            A failed trial.
        """
        more = len(unfit.problems) - 1
        detail = unfit.problems[0] + (f" (and {more} more)" if more else "")
        return cls(_line(name, detail, unfit.metrics, passed=False), unfit.problems)

    @classmethod
    def not_run(cls, name: str, reason: str) -> Trial:
        """Make the line of a check that could not be made.

        Args:
            name: the check's name.
            reason: why not.

        Returns:
            A trial that is neither judged nor passed.
        """
        return cls(Check(name, False, judged=False, run=False, detail=reason))


def _line(name: str, detail: str, metrics: Mapping[str, float], *, passed: bool) -> Check:
    """Return the report's check, with the tolerance, where there is one, in its own field."""
    others = {key: value for key, value in metrics.items() if key != "tolerance"}
    return Check(name, passed, others, metrics.get("tolerance"), detail=detail)


def fitness_report(target: Mapping[str, object], trials: Sequence[Trial]) -> Report:
    """Make the report of all trials; it passes if something was run, and nothing of it failed.

    Args:
        target: what is known of the folder.
        trials: in the order of the table.

    Returns:
        The report, with the versions that the folder was tried in.
    """
    checks = tuple(trial.check for trial in trials)
    outcomes = {check.outcome for check in checks}
    passed = Outcome.FAILED not in outcomes and Outcome.PASSED in outcomes
    return Report(
        kind="fitness",
        passed=passed,
        verdict=(Outcome.PASSED if passed else Outcome.FAILED).value,
        reference=f"transformers {package_version('transformers')}",
        compute_dtype="float32",
        source={},
        target=dict(target),
        checks=checks,
        modules=(),
        first_divergence=None,
        disagreements=tuple(f"{trial.check.name}: {text}" for trial in trials for text in trial.problems),
        problems=(),
        tensors=(),
        environment=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what the checks ran in.

    Returns:
        Version by distribution; of what is not installed, nothing.
    """
    return {**environment(), **{name: package_version(name) for name in _LIBRARIES if is_installed(name)}}


def is_installed(distribution: str) -> bool:
    """Return whether a distribution is installed; nothing is imported.

    Args:
        distribution: its name.

    Returns:
        True if it is.
    """
    return package_version(distribution) != "unknown"


def need(*distributions: str) -> None:
    """Refuse to run a check where a distribution is missing.

    Args:
        *distributions: their names.

    Raises:
        NotRun: naming what is missing.
    """
    missing = [name for name in distributions if not is_installed(name)]
    if missing:
        raise NotRun(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank.

    Args:
        error: any error.

    Returns:
        The line, or words that say that there is none.
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
