"""What a fitness check finds, and the report of all of them, in the form that the renderers of parity reports take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from prenorm.reports.model import SCHEMA_VERSION, environment, package_version

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
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
class Check:
    """One line: name, outcome (`passed`, `failed`, `not run`), detail, and a sentence for each problem."""

    name: str
    outcome: str
    detail: str
    problems: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def passing(cls, name: str, found: Finding) -> Check:
        """The line of a check that returned."""
        return cls(name, PASSED, found.detail, metrics=found.metrics)

    @classmethod
    def failing(cls, name: str, unfit: Unfit) -> Check:
        """The line of a check that failed."""
        more = len(unfit.problems) - 1
        detail = unfit.problems[0] + (f" (and {more} more)" if more else "")
        return cls(name, FAILED, detail, unfit.problems, unfit.metrics)

    @classmethod
    def not_run(cls, name: str, reason: str) -> Check:
        """The line of a check that could not be made."""
        return cls(name, NOT_RUN, reason)

    def to_dict(self) -> dict[str, object]:
        """The line in the report. What was not run has neither been judged nor passed."""
        passed = self.outcome == PASSED
        return {
            "name": self.name,
            "outcome": self.outcome,
            "detail": self.detail,
            **self.metrics,
            "judged": self.outcome != NOT_RUN,
            "passed": passed,
        }


@dataclass(frozen=True)
class FitnessReport:
    """What was tried, and how each went. `target` names the folder, `environment` the versions it was tried in."""

    target: Mapping[str, object]
    checks: Sequence[Check]
    environment: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """The verdict: something was run, and nothing of it failed."""
        outcomes = [check.outcome for check in self.checks]
        return FAILED not in outcomes and PASSED in outcomes

    @property
    def verdict(self) -> str:
        """'passed' or 'failed'."""
        return PASSED if self.passed else FAILED

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Every problem, after the name of the check that found it."""
        return tuple(f"{check.name}: {text}" for check in self.checks for text in check.problems)

    def check(self, name: str) -> Check:
        """The check of that name.

        Raises:
            KeyError: if there is none.
        """
        found = {check.name: check for check in self.checks}
        return found[name]

    def to_dict(self) -> dict[str, object]:
        """The content of a report file, of the kind 'fitness'. The same folder gives the same content: no times, no paths."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "fitness",
            "passed": self.passed,
            "verdict": self.verdict,
            "reference": f"transformers {self.environment['transformers']}",
            "compute_dtype": "float32",
            "source": {},
            "target": dict(self.target),
            "checks": [check.to_dict() for check in self.checks],
            "modules": [],
            "first_divergence": None,
            "disagreements": list(self.disagreements),
            "problems": [],
            "tensors": [],
            "environment": dict(self.environment),
        }


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
