"""What a fitness check finds, and the report of all of them, in the form that the renderers of parity reports take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from prenorm.reports.environment import environment, package_version
from prenorm.reports.model import Check, Report

# What the checks run in, besides what every report names.
_LIBRARIES = ("transformers", "accelerate", "onnx", "onnxscript", "onnxruntime", "sentence-transformers")


class Unfit(Exception):
    """A check failed. `problems` are sentences, the first of which stands in the table."""

    def __init__(self, problems: Sequence[str], metrics: Mapping[str, float] | None = None) -> None:
        self.problems = tuple(problems)
        self.metrics = dict(metrics or {})
        super().__init__("; ".join(problems))

    def within(self, place: Path, name: str) -> Unfit:
        """The same, with the folder's name for the place where the libraries saw it: no report names a path."""
        return Unfit([text.replace(str(place), name) for text in self.problems], self.metrics)


class NotRun(Exception):
    """A check that could not be made here, and why. It is shown so, and never as passed."""


@dataclass(frozen=True)
class Finding:
    """What a check that passed has seen. `max_abs_diff` and `tolerance` stand in `metrics` where there are some."""

    detail: str
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One thing that was tried: its line of the report, and a sentence for each problem."""

    check: Check
    problems: tuple[str, ...] = ()

    @classmethod
    def passing(cls, name: str, finding: Finding) -> Trial:
        """The trial of a check that returned."""
        return cls(_line(name, finding.detail, finding.metrics, passed=True))

    @classmethod
    def failing(cls, name: str, unfit: Unfit) -> Trial:
        """The trial of a check that failed."""
        more = len(unfit.problems) - 1
        detail = unfit.problems[0] + (f" (and {more} more)" if more else "")
        return cls(_line(name, detail, unfit.metrics, passed=False), unfit.problems)

    @classmethod
    def not_run(cls, name: str, reason: str) -> Trial:
        """The trial of a check that could not be made: it has neither been judged nor passed."""
        return cls(Check(name, False, judged=False, run=False, detail=reason))


def _line(name: str, detail: str, metrics: Mapping[str, float], *, passed: bool) -> Check:
    """The check, with the tolerance, where there is one, in its own field."""
    others = {key: value for key, value in metrics.items() if key != "tolerance"}
    return Check(name, passed, others, metrics.get("tolerance"), detail=detail)


def fitness_report(target: Mapping[str, object], trials: Sequence[Trial]) -> Report:
    """The report of all trials.

    Args:
        target: what is known of the folder.
        trials: in the order of the table.
    """
    return Report.of_fitness(
        reference=f"transformers {package_version('transformers')}",
        target=target,
        checks=[trial.check for trial in trials],
        disagreements=[f"{trial.check.name}: {text}" for trial in trials for text in trial.problems],
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """The versions of what the checks ran in; of what is not installed, nothing."""
    return {**environment(), **{name: package_version(name) for name in _LIBRARIES if is_installed(name)}}


def is_installed(distribution: str) -> bool:
    """Whether a distribution of that name is installed; nothing is imported."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def need(*distributions: str) -> None:
    """Raises NotRun, naming what is missing, unless all are installed."""
    missing = [name for name in distributions if not is_installed(name)]
    if missing:
        raise NotRun(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed")


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
