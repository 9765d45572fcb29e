"""The content of a `parity_report.json`, typed, so that the renderers need not doubt its shape (`reading` makes it).

A report may have been stored years ago, or changed since: a verdict is never taken on trust (`Content.outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prenorm.reports.text import Outcome, as_number, count, fact, label, number

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CheckLine:
    """One check. `metrics` are as the report has them."""

    name: str
    passed: bool
    judged: bool
    tolerance: float | None
    metrics: Mapping[str, object]
    run: bool = True

    @property
    def outcome(self) -> Outcome:
        """A failed check failed, whatever of it was judged; one that was not run did neither."""
        if not self.run:
            return Outcome.NOT_RUN
        if not self.passed:
            return Outcome.FAILED
        return Outcome.PASSED if self.judged else Outcome.NOT_JUDGED

    @property
    def difference(self) -> float | None:
        """The largest absolute difference, where the check measures one."""
        return as_number(self.metrics.get("max_abs_diff"))

    @property
    def finding(self) -> str:
        """What the check found, in a few words."""
        if "detail" in self.metrics:
            return fact(self.metrics["detail"])
        if self.difference is not None:
            return number(self.difference)
        if "compared_bit_by_bit" in self.metrics:
            found = (
                f"{fact(self.metrics.get('unequal'))} of {fact(self.metrics['compared_bit_by_bit'])} differ in a bit"
            )
            problems = as_number(self.metrics.get("problems"))
            return f"{found}, {count(int(problems), 'problem')}" if problems and problems < 1e15 else found
        others = [name for name in self.metrics if name != "wrong"]
        if "wrong" in self.metrics and len(others) == 1:
            return f"{fact(self.metrics['wrong'])} of {fact(self.metrics[others[0]])} wrong"
        return ", ".join(f"{label(name)} {fact(value)}" for name, value in self.metrics.items())


@dataclass(frozen=True)
class ModuleLine:
    """One module of the target, in computing order."""

    name: str
    max_abs_diff: float
    tolerance: float | None
    passed: bool


@dataclass(frozen=True)
class TensorLine:
    """One tensor's fate. `equal` is None where there was nothing to compare."""

    source: str | None
    target: str | None
    operation: str
    reason: str
    equal: bool | None

    @property
    def bits(self) -> str:
        """What the comparison bit by bit found."""
        return {True: "equal", False: "DIFFERENT", None: "not compared"}[self.equal]


@dataclass(frozen=True)
class Divergence:
    """The first module that is further apart than rounding explains, the rule that made it, and what to look at."""

    module: str
    rule: str
    hint: str


@dataclass(frozen=True)
class Positions:
    """The largest difference per module and token position; `max_abs_diff` is [modules][positions], rows may differ."""

    modules: Sequence[str]
    max_abs_diff: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Content:
    """A report. Values that are only shown stand in `source`, `target`, `environment` ... as the report has them.

    `fitness`: it tells how a folder works (`verify --folder-only`), and not whether it computes what a checkpoint does.
    """

    fitness: bool
    stated_pass: bool
    verdict: str
    reference: str
    compute_dtype: str
    source: Mapping[str, object]
    target: Mapping[str, object]
    environment: Mapping[str, object]
    checks: Sequence[CheckLine]
    modules: Sequence[ModuleLine]
    tensors: Sequence[TensorLine]
    problems: Sequence[str]
    stated_disagreements: Sequence[str]
    divergence: Divergence | None
    noise_floor: Mapping[str, float]
    logits_noise_floor: float | None
    positions: Positions | None
    runtimes: Sequence[str]
    probe: Mapping[str, object]
    cost_of_type: Mapping[str, object]

    @property
    def outcome(self) -> Outcome:
        """The verdict, never better than what the report's own lines say."""
        if self.contradictions or self.verdict == Outcome.FAILED.value:
            return Outcome.FAILED
        if any(check.outcome is Outcome.FAILED for check in self.checks):
            return Outcome.FAILED
        run = self.checks_run
        sound = self.stated_pass and self.verdict == Outcome.PASSED.value and len(run) > 0
        judged = all(check.judged for check in run)
        return Outcome.PASSED if sound and judged else Outcome.NOT_JUDGED

    @property
    def contradictions(self) -> list[str]:
        """What in the report speaks against a verdict that is not 'failed'; empty in every report as it was written."""
        if self.verdict == Outcome.FAILED.value and not self.stated_pass:
            return []
        stated = f"the report's verdict is '{self.verdict}'"
        if self.stated_pass != (self.verdict == Outcome.PASSED.value):
            return [f"{stated}, and its 'passed' is {str(self.stated_pass).lower()}"]
        found = [f"{stated}, and its check '{item.name}' failed" for item in self.checks_run if not item.passed]
        found += [f"{stated}, and its module '{item.name}' diverges" for item in self.modules if not item.passed]
        different = sum(item.equal is False for item in self.tensors)
        for amount, noun in ((different, "different tensor"), (len(self.problems), "problem")):
            if amount:
                found.append(f"{stated}, and it lists {count(amount, noun)}")
        if self.stated_disagreements:
            found.append(f"{stated}, and it lists {count(len(self.stated_disagreements), 'disagreement')}")
        return found

    @property
    def disagreements(self) -> list[str]:
        """All that disagrees, a sentence each, without repetitions."""
        return list(dict.fromkeys([*self.contradictions, *self.stated_disagreements, *self.problems]))

    @property
    def checks_run(self) -> list[CheckLine]:
        """The checks but for those that could not be made."""
        return [check for check in self.checks if check.run]

    @property
    def failed_checks(self) -> list[str]:
        """The names of the checks that failed."""
        return [check.name for check in self.checks if check.outcome is Outcome.FAILED]

    @property
    def file(self) -> str:
        """The checkpoint's file name; where there was none, the folder's."""
        return fact(self.target.get("folder", "a folder") if self.fitness else self.source.get("file", "a checkpoint"))

    @property
    def noun(self) -> str:
        """What the report is about."""
        return "Fitness" if self.fitness else "Parity"

    @property
    def summary(self) -> str:
        """One sentence under the verdict."""
        if self.fitness:
            return self._fitness_summary
        if self.outcome is Outcome.PASSED:
            return f"The folder computes what the checkpoint computes: {count(len(self.checks), 'check')}, all passed."
        if self.outcome is Outcome.NOT_JUDGED:
            if not self.checks:
                return "The report holds no check, so it shows nothing."
            if all(check.judged for check in self.checks):
                return f"The report's verdict is '{self.verdict}'."
            return "Some values are NaN or infinite, so agreement says nothing about them."
        if self.contradictions:
            return "The report contradicts itself, so its verdict is not believed."
        names = ", ".join(self.failed_checks)
        return (
            "The folder does not compute what the checkpoint computes: "
            f"{len(self.failed_checks)} of {count(len(self.checks), 'check')} failed{': ' + names if names else ''}."
        )

    @property
    def _fitness_summary(self) -> str:
        if self.contradictions:
            return "The report contradicts itself, so its verdict is not believed."
        if not self.checks_run:
            return "No check was run, so the report shows nothing."
        left = len(self.checks) - len(self.checks_run)
        also = f"; {left} more could not be run here" if left else ""
        if self.outcome is Outcome.PASSED:
            return f"The folder works where it is used: {count(len(self.checks_run), 'check')}, all passed{also}."
        if self.outcome is Outcome.FAILED:
            names = ", ".join(self.failed_checks)
            failed = f"{len(self.failed_checks)} of {count(len(self.checks_run), 'check')} failed"
            return f"The folder does not work everywhere it is used: {failed}{': ' + names if names else ''}{also}."
        return f"The report's verdict is '{self.verdict}'."
