"""The data model of a report: what a proof fills, and what every form, the card and the console show.

The fields of `Report` are the keys of `parity_report.json`, in its order; `schema`, `reading` and `to_dict` are made from
them. A report may have been stored years ago, or changed since: its stated verdict is never taken on trust
(`Report.outcome`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Struct, structs, to_builtins

from prenorm.reports import fields
from prenorm.reports.check import Check as Check
from prenorm.reports.details import Diagnosis, Example, NoiseFloor, PositionLines, TensorDifference
from prenorm.reports.forms import ReportForms
from prenorm.reports.text import Outcome, count, fact, says_passed, verdict_in_words


class ModuleLine(Struct, frozen=True):
    """How far one module of the target is from the reference. `range` is the reference's largest absolute value."""

    name: str
    max_abs_diff: fields.Size
    range: fields.Size
    tolerance: fields.Size
    passed: bool


class AuditRow(Struct, frozen=True):
    """One tensor's fate. `equal` is None where there is nothing to compare."""

    source: str | None
    target: str | None
    operation: str
    reason: str
    equal: fields.Equal

    @property
    def bits(self) -> str:
        """What the comparison bit by bit found."""
        return {True: "equal", False: "DIFFERENT", None: "not compared"}[self.equal]


class Audit(Struct, frozen=True):
    """Every tensor's row, and what is wrong with the whole; of its problems, how many name a tensor too many or missing."""

    rows: tuple[AuditRow, ...]
    problems: tuple[str, ...]
    surplus: int = 0
    missing: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything is accounted for and every moved tensor is equal."""
        return not self.problems and all(row.equal is not False for row in self.rows)


def _with_lists(value: Any) -> Any:
    """Return plain data as a JSON reader makes it, with lists for tuples."""
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


# What the file of a proof of parity has, even where it is null, and that of a trial of fitness has not.
_OF_PARITY = {"divergence", "runtimes", "noise_floor", "cost_of_type", "positions"}
# What is in a file only where it says something.
_RARE = {"kind", "probe", "different_tensors", "examples", "other_activation"}


class Report(ReportForms, frozen=True, kw_only=True):
    """The outcome of a proof of parity, or of a trial of a folder's fitness (`kind`).

    `passed` and `verdict` are as stated by who made the report; `outcome` is what its lines bear out.
    """

    schema_version: fields.Version = fields.SCHEMA_VERSION
    kind: fields.Kind = None
    passed: fields.Passed
    verdict: fields.Verdict
    reference: fields.Reference
    compute_dtype: fields.ComputeType
    source: fields.Source
    target: fields.Target
    checks: tuple[Check, ...]
    modules: tuple[ModuleLine, ...]
    first_divergence: fields.FirstDivergence
    divergence: Diagnosis | None = None
    different_tensors: Annotated[tuple[TensorDifference, ...] | None, fields.DifferentTensors] = None
    disagreements: fields.Disagreements = ()
    runtimes: fields.Runtimes = ()
    noise_floor: NoiseFloor | None = None
    cost_of_type: fields.CostOfType = None
    other_activation: fields.OtherActivation = None
    examples: Annotated[tuple[Example, ...] | None, fields.Examples] = None
    positions: PositionLines | None = None
    probe: fields.Probe = None
    problems: tuple[str, ...]
    tensors: tuple[AuditRow, ...]
    environment: fields.Versions

    @property
    def is_fitness(self) -> bool:
        """Whether it tells how a folder works, and not whether it computes what a checkpoint does."""
        return self.kind == "fitness"

    @property
    def judged(self) -> bool:
        """Whether all values were numbers; where some were not, agreement says nothing about them."""
        return all(check.judged or check.counts is not None for check in self.checks)

    @property
    def unjudged_parts(self) -> list[str]:
        """The parts of the folder that were not judged, and change what its readers compute; the verdict names them."""
        return [check.name for check in self.checks if check.counts]

    @property
    def not_judged(self) -> list[str]:
        """Every check that was not made: its name, why, and what to give for it, a sentence each."""
        return [f"{check.name}: {check.detail or check.outcome.value}" for check in self.checks if not check.is_made]

    @property
    def words(self) -> str:
        """The verdict as people read it, with what was not judged; never better than what the report's own lines say."""
        return verdict_in_words(self.outcome, self.unjudged_parts)

    @property
    def agrees(self) -> bool:
        """Whether every check passed, on as much as could be judged, and nothing else is said against the folder."""
        return all(check.passed for check in self.checks) and not self.disagreements

    @property
    def outcome(self) -> Outcome:
        """The verdict, never better than what the report's own lines say."""
        if self.contradictions or self.verdict == Outcome.FAILED.value:
            return Outcome.FAILED
        if self.failed_checks:
            return Outcome.FAILED
        run = self.checks_run
        sound = self.passed and says_passed(self.verdict) and len(run) > 0
        return Outcome.PASSED if sound and all(check.judged for check in run) else Outcome.NOT_JUDGED

    @property
    def contradictions(self) -> list[str]:
        """What in the report speaks against a verdict that is not 'failed'; empty in every report as it was written."""
        if self.verdict == Outcome.FAILED.value and not self.passed:
            return []
        stated = f"the report's verdict is '{self.verdict}'"
        if self.passed != says_passed(self.verdict):
            return [f"{stated}, and its 'passed' is {str(self.passed).lower()}"]
        against = [f"{stated}, and its check '{item.name}' failed" for item in self.checks_run if not item.passed]
        against += [f"{stated}, and its module '{item.name}' diverges" for item in self.modules if not item.passed]
        different = sum(row.equal is False for row in self.tensors)
        for amount, noun in (
            (different, "different tensor"),
            (len(self.problems), "problem"),
            (len(self.disagreements), "disagreement"),
        ):
            if amount:
                against.append(f"{stated}, and it lists {count(amount, noun)}")
        return against

    @property
    def objections(self) -> list[str]:
        """All that disagrees, a sentence each, without repetitions."""
        return list(dict.fromkeys([*self.contradictions, *self.disagreements, *self.problems]))

    @property
    def causes(self) -> list[str]:
        """What is known of why the folder differs, before all that follows from it, a sentence each."""
        tensors = self.different_tensors or ()
        hint = None if self.divergence is None else self.divergence.hint
        known = [] if hint is None or any(hint == item.brief for item in tensors) else [hint]
        return [*known, *self.problems, *(item.sentence for item in tensors)]

    @property
    def checks_run(self) -> list[Check]:
        """The checks but for those that could not be made."""
        return [check for check in self.checks if check.is_made]

    @property
    def failed_checks(self) -> list[str]:
        """The names of the checks that failed."""
        return [check.name for check in self.checks if check.outcome is Outcome.FAILED]

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The first divergence; in older reports its module's name alone."""
        if self.divergence is None and self.first_divergence is not None:
            return Diagnosis(self.first_divergence)
        return self.divergence

    def check(self, name: str) -> Check:
        """Return the check of that name.

        Args:
            name: as in the parity table.

        Returns:
            The first check that has it.

        Raises:
            KeyError: if there is none.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def with_unjudged(self, rows: Sequence[Check]) -> Report:
        """Add what was not judged; a verdict that was passed names what of it counts.

        Args:
            rows: made by `Check.not_judged`.

        Returns:
            The report with these rows behind its checks.
        """
        longer = structs.replace(self, checks=(*self.checks, *rows))
        return structs.replace(longer, verdict=longer.words) if longer.outcome is Outcome.PASSED else longer

    def __repr__(self) -> str:
        subject = self.target.get("folder") if self.is_fitness else self.source.get("file")
        made = count(len(self.checks_run), "check")
        failed = f", {len(self.failed_checks)} failed" if self.failed_checks else ""
        return f"<Report of {self.kind or 'parity'}: {fact(subject)} {self.words} ({made}{failed})>"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `parity_report.json`. The same input gives the same content: no times, no paths.

        Returns:
            Plain data in the file's order; floats as they are, NaN and infinity too.
        """
        content: dict[str, Any] = _with_lists(to_builtins(self))
        content["checks"] = [check.to_dict() for check in self.checks]
        if self.not_judged:
            content["not_judged"] = self.not_judged
        absent = {key for key in _RARE if content[key] is None} | (_OF_PARITY if self.is_fitness else set())
        return {key: value for key, value in content.items() if key not in absent}
