"""The proof: what a folder computes and holds, against what it must compute and hold.

There is one, whatever is judged (a folder that was just written, or anybody's), whatever it is judged by (a checkpoint, or
what was recorded of one), and whatever computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError

from prenorm.errors import PrenormError
from prenorm.folder.published import Published
from prenorm.mapping.plan import ConversionPlan
from prenorm.proof.checks.numbers import comparison_checks, tensors_check
from prenorm.proof.comparison import Comparison
from prenorm.proof.computation import Computation
from prenorm.proof.protocols import ReferenceModel, Runtime
from prenorm.proof.runtimes import BUNDLED, FormerRuntime, open_runtime
from prenorm.proof.stagewise import comparison_of
from prenorm.reports.details import Diagnosis, Example, TensorDifference
from prenorm.reports.environment import environment
from prenorm.reports.model import Audit, Check, Report
from prenorm.reports.text import Outcome

# What a runtime raises for a folder that does not load, or that computes other stages than the reference.
UNCOMPUTABLE = (ValueError, RuntimeError, IndexError, OSError, KeyError, SafetensorError)
_MOST_REASONS = 10


@dataclass(frozen=True)
class JudgedFolder:
    """A folder to be judged.

    Attributes:
        path: where its files are.
        facts: what the report says of it.
        published: the folder as it was opened; None for a staging folder, whose config and tokenizer were just written from
            the plan. A fault in a staging folder is prenorm's own: it is an error, or a failed check, and no disagreement.
    """

    path: Path
    facts: Mapping[str, object]
    published: Published | None = None

    @classmethod
    def staged(cls, path: Path, plan: ConversionPlan) -> JudgedFolder:
        """Return a folder that was just written.

        Args:
            path: the staging folder.
            plan: what it was written from.

        Returns:
            The folder to be judged.
        """
        return cls(
            path,
            {
                "model_type": plan.model_type,
                "architectures": [plan.architecture],
                "task": plan.task.kind.value,
                "head": plan.task.head.name if plan.task.head else None,
                "vocab_size": plan.config["vocab_size"],
                "extra_rows": plan.extra_rows,
            },
        )

    @classmethod
    def opened(cls, published: Published, facts: Mapping[str, object] | None = None) -> JudgedFolder:
        """Return anybody's folder.

        Args:
            published: the opened folder.
            facts: what the report says of it, besides its name and types.

        Returns:
            The folder to be judged.
        """
        types = {key: published.config.get(key) for key in ("model_type", "architectures")}
        return cls(published.path, {"folder": published.name, **types, **(facts or {})}, published)


@dataclass
class Findings:
    """What a proof gathers.

    Attributes:
        checks: in the report's order.
        disagreements: a sentence for everything that disagrees, but for the numbers.
        symptoms: a sentence for all numbers that disagree: they follow from what else does, and stand behind it.
        comparisons: of every runtime that could compute the folder.
    """

    checks: list[Check] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    symptoms: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def verdict(self) -> Outcome:
        """What follows from the checks and the sentences."""
        if self.disagreements or self.symptoms or not all(check.passed for check in self.checks):
            return Outcome.FAILED
        return Outcome.PASSED if all(check.judged for check in self.checks) else Outcome.NOT_JUDGED

    def add(self, check: Check, disagreements: Sequence[str]) -> None:
        """Take in a check and its sentences.

        Args:
            check: the check.
            disagreements: what it found wrong.
        """
        self.checks.append(check)
        self.disagreements += disagreements

    def add_comparison(self, comparison: Comparison, suffix: str) -> None:
        """Take in a comparison's checks, and a sentence for each that failed.

        Args:
            comparison: the comparison, done.
            suffix: what tells its checks from those of another runtime.
        """
        self.comparisons.append(comparison)
        for check in comparison_checks(comparison, suffix):
            apart, allowed = check.metrics["max_abs_diff"], check.tolerance
            sentence = f"numbers: {check.name} differ by {apart:.1e}, and rounding explains {allowed:.1e}"
            self.checks.append(check)
            self.symptoms += [] if check.passed else [sentence]

    def add_failure(self, error: Exception, suffix: str) -> None:
        """Take in that a folder cannot be computed.

        Args:
            error: what the runtime raised.
            suffix: what tells the runtime's checks from those of another.
        """
        sentence = f"numbers{suffix}: the folder cannot be computed: {_reason(error)}"
        self.checks.append(Check("logits" + suffix, False, {"disagreements": 1}))
        self.symptoms.append(sentence)


def _reason(error: Exception) -> str:
    """Return an exception's message as one line; a list behind a colon is kept, for its lines are what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return f"{type(error).__name__} {' '.join(lines)}".strip()
    first, *others = lines
    if not first.endswith(":"):
        return first
    reasons = others[:_MOST_REASONS]
    if len(others) > len(reasons):
        reasons.append(f"and {len(others) - len(reasons)} more")
    return f"{first} {'; '.join(reasons)}" if reasons else first.rstrip(":")


class Basis(Protocol):
    """What a folder is judged by."""

    @property
    def computation(self) -> Computation:
        """What is computed on both sides."""

    @property
    def reference(self) -> ReferenceModel:
        """What computes the checkpoint's side."""

    @property
    def source(self) -> Mapping[str, object]:
        """What the report says of the checkpoint."""

    def check_files(self, published: Published, findings: Findings) -> None:
        """Check config, tokenizer and the state of the files.

        Args:
            published: anybody's folder.
            findings: takes in what is found.
        """

    def check_written(self, path: Path) -> list[Check]:
        """Check what was written besides tensors, in a staging folder.

        Args:
            path: the staging folder.

        Returns:
            The checks, after all others in the report.
        """

    def audit(self, folder: JudgedFolder) -> tuple[Audit, list[str]]:
        """Account for every tensor.

        Args:
            folder: the folder.

        Returns:
            The rows, and a sentence for everything that is wrong.
        """

    def different_tensors(self, folder: JudgedFolder, audited: Audit) -> tuple[TensorDifference, ...]:
        """Describe the tensors that the audit found different.

        Args:
            folder: the folder.
            audited: every tensor's fate.

        Returns:
            The tensors in computing order, with what they are nearest to where that is known.
        """

    def diagnose(self, comparison: Comparison, tensors: Sequence[TensorDifference]) -> Diagnosis | None:
        """Describe the first divergence of a comparison.

        Args:
            comparison: one that has a divergence.
            tensors: those that differ.

        Returns:
            Where it is, and what is known of its cause.
        """

    def cost_of_type(self, folder: JudgedFolder) -> dict[str, float | int | str] | None:
        """Measure what rounding to the folder's type costs.

        Args:
            folder: the folder.

        Returns:
            The metrics of the logits, which are not judged; None if nothing was rounded.
        """

    def other_activation(self, folder: JudgedFolder) -> dict[str, float | int | str] | None:
        """Measure how far the logits are from those with the other form of GELU, where it is open which was trained.

        Args:
            folder: the folder.

        Returns:
            Both names, and the metrics of the logits, which are not judged; None where nothing is open.
        """

    def examples(self, folder: JudgedFolder, runtime: Runtime) -> list[Example]:
        """Let the folder fill in a sentence.

        Args:
            folder: the folder.
            runtime: what computes it, and was compared.

        Returns:
            What it fills in; empty unless it is a masked LM with a tokenizer.
        """


def prove(
    folder: JudgedFolder,
    basis: Basis,
    runtimes: Sequence[str] = (BUNDLED,),
    *,
    compute: str = "float64",
    tick: Callable[[int], None] = lambda steps: None,
) -> Report:
    """Judge a folder: its files, what it computes, and every tensor.

    Args:
        folder: what is judged; its weights are loaded from its files.
        basis: what it is judged by.
        runtimes: what computes the folder, by name.
        compute: what it computes in, `float64` or `float32`.
        tick: called with 1 for every stage that was compared.

    Returns:
        The report, whatever its verdict.

    Raises:
        ValueError: if a staging folder's files do not fit the model, or the model's stages are not the reference's.
    """
    findings = Findings()
    if folder.published is not None:
        basis.check_files(folder.published, findings)
    for name in runtimes:
        _compare(findings, folder, basis, name, compute, tick)
    with torch.inference_mode():
        audited, objections = basis.audit(folder)
    findings.add(tensors_check(audited), objections)
    if folder.published is None:
        findings.checks += basis.check_written(folder.path)
        findings.disagreements.clear()
        findings.symptoms.clear()
    return _report(folder, basis, findings, audited, compute)


def _compare(
    findings: Findings, folder: JudgedFolder, basis: Basis, name: str, compute: str, tick: Callable[[int], None]
) -> None:
    """Compare one runtime's numbers with the reference's; anybody's folder may fail to load."""
    suffix = "" if name == BUNDLED else f" ({name})"
    computation = basis.computation
    try:
        runtime = open_runtime(name, folder.path, computation.target, computation.kind, compute)
        comparison = comparison_of(computation, basis.reference, runtime, tick).run()
    except PrenormError:
        raise
    except UNCOMPUTABLE as error:
        if folder.published is None:
            raise
        findings.add_failure(error, suffix)
    else:
        findings.add_comparison(comparison, suffix)
        if name != BUNDLED:  # which is asked for examples later on
            comparison.runtime = FormerRuntime(runtime.name)


def _report(folder: JudgedFolder, basis: Basis, findings: Findings, audited: Audit, compute: str) -> Report:
    """Fill the report; of several comparisons it shows the first that diverges."""
    worst = next((item for item in findings.comparisons if item.divergence), None)
    comparison = worst or next(iter(findings.comparisons), None)
    bundled = next((item.runtime for item in findings.comparisons if item.runtime.name == BUNDLED), None)
    with torch.inference_mode():
        different = basis.different_tensors(folder, audited)
    modules = tuple(comparison.modules.lines()) if comparison else ()
    return Report(
        passed=findings.verdict is Outcome.PASSED,
        verdict=findings.verdict.value,
        reference=basis.reference.name,
        compute_dtype=compute,
        source=dict(basis.source),
        target=dict(folder.facts),
        checks=tuple(findings.checks),
        modules=modules,
        first_divergence=next((line.name for line in modules if not line.passed), None),
        divergence=basis.diagnose(worst, different) if worst else None,
        different_tensors=different or None,
        disagreements=(*findings.disagreements, *findings.symptoms),
        runtimes=tuple(item.runtime.name for item in findings.comparisons),
        noise_floor=basis.reference.floor(),
        cost_of_type=basis.cost_of_type(folder),
        other_activation=None if worst else basis.other_activation(folder),
        examples=None if worst or bundled is None else tuple(basis.examples(folder, bundled)) or None,
        positions=comparison.positions.lines() if comparison else None,
        problems=audited.problems,
        tensors=audited.rows,
        environment=environment(),
    )
