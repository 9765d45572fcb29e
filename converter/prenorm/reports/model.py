"""The report: one data structure, from which every form of it is made."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from prenorm.proof.checks.audit import Audit
from prenorm.proof.numbers.differences import Difference, ModuleDifferences
from prenorm.proof.numbers.positions import PositionErrors

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Check:
    """One thing that was checked: its metrics, the tolerance they were held against, and the outcome."""

    name: str
    passed: bool
    metrics: Mapping[str, float | int]
    tolerance: float | None = None
    judged: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """Where the first divergence is, which rule made that tensor, and what it looks like, where the pattern is known."""

    module: str
    rule: str | None
    hint: str | None


@dataclass(frozen=True)
class ParityReport:
    """The outcome of a proof."""

    reference: str
    compute_dtype: str
    source: Mapping[str, object]
    target: Mapping[str, object]
    checks: Sequence[Check]
    modules: ModuleDifferences
    audit: Audit
    runtimes: Sequence[str] = ("bundled",)
    positions: PositionErrors | None = None
    divergence: Diagnosis | None = None
    disagreements: Sequence[str] = ()
    noise: Mapping[str, object] | None = None
    cost_of_type: Mapping[str, float | int | str] | None = None

    @property
    def judged(self) -> bool:
        """Whether all values were numbers; where some were not, agreement says nothing about them."""
        return all(check.judged for check in self.checks)

    @property
    def agrees(self) -> bool:
        """Whether every check passed, on as much as could be judged, and nothing else is said against the folder."""
        return all(check.passed for check in self.checks) and not self.disagreements

    @property
    def passed(self) -> bool:
        """The verdict."""
        return self.agrees and self.judged

    @property
    def verdict(self) -> str:
        """'passed', 'failed', or 'not judged' where NaN or infinity left nothing to compare."""
        return "passed" if self.passed else "not judged" if self.agrees else "failed"

    def check(self, name: str) -> Check:
        """The check of that name.

        Raises:
            KeyError: if there is none.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_dict(self) -> dict[str, object]:
        """The content of parity_report.json. The same input gives the same content: no times, no paths."""
        return {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "verdict": self.verdict,
            "reference": self.reference,
            "compute_dtype": self.compute_dtype,
            "source": dict(self.source),
            "target": dict(self.target),
            "checks": [_check(check) for check in self.checks],
            "modules": [_module(item) for item in self.modules.by_name.values()],
            "first_divergence": self.modules.first_divergence,
            "divergence": None if self.divergence is None else vars(self.divergence),
            "disagreements": list(self.disagreements),
            "runtimes": list(self.runtimes),
            "noise_floor": None if self.noise is None else dict(self.noise),
            "cost_of_type": None if self.cost_of_type is None else dict(self.cost_of_type),
            "positions": None if self.positions is None else self.positions.to_dict(),
            "problems": list(self.audit.problems),
            "tensors": [vars(row) for row in self.audit.rows],
            "environment": environment(),
        }


def _check(check: Check) -> dict[str, object]:
    stated = {} if check.tolerance is None else {"tolerance": check.tolerance}
    return {"name": check.name, **check.metrics, **stated, "judged": check.judged, "passed": check.passed}


def _module(item: Difference) -> dict[str, object]:
    return {
        "name": item.name,
        "max_abs_diff": item.max_abs_diff,
        "range": item.scale,
        "tolerance": item.tolerance,
        "passed": item.passed,
    }


def environment() -> dict[str, str]:
    """Versions of what the numbers depend on; nothing that names a machine or a user."""
    packages = ("prenorm", "torch", "safetensors", "tokenizers", "numpy")
    return {"python": platform.python_version(), **{name: package_version(name) for name in packages}}


def package_version(name: str) -> str:
    """The installed version of a package, or 'unknown'."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
