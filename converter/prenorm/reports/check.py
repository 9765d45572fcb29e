"""One row of a report: a check that was made, or what was not judged."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from prenorm.reports.fields import Metrics, Size
from prenorm.reports.text import Outcome, as_number, count, fact, label, number


class Check(Struct, frozen=True):
    """One thing that was checked: its metrics, the tolerance they were held against, and whether all values were numbers.

    In the file the metrics stand beside the other keys. `run` belongs to a check of fitness: whether it could be made.
    `detail` is what it found, or why it was not made. `counts` is set for a part of the folder that was not judged, and for
    nothing else: true where the part changes what a reader of the folder computes, so that the verdict names it.
    """

    name: str
    passed: bool
    metrics: Metrics = {}
    tolerance: Size | None = None
    judged: bool = True
    run: bool = True
    detail: str | None = None
    counts: bool | None = None

    @classmethod
    def not_judged(cls, name: str, reason: str, *, counts: bool) -> Check:
        """Return the row of a part of the folder that was not judged.

        Args:
            name: the part.
            reason: why not, and what would judge it.
            counts: whether it changes what a reader of the folder computes.

        Returns:
            A row that is no check: it neither passes nor fails a proof.
        """
        return cls(name, True, judged=False, detail=reason, counts=counts)

    @property
    def is_made(self) -> bool:
        """Whether something was checked."""
        return self.run and self.counts is None

    @property
    def outcome(self) -> Outcome:
        """How the check ended: a failed check failed, whatever of it was judged; one that was not run did neither."""
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
    def figures(self) -> dict[str, Any]:
        """All that the check has to show, its detail first."""
        return self.metrics if self.detail is None else {"detail": self.detail, **self.metrics}

    @property
    def finding(self) -> str:
        """What the check found, in a few words."""
        if self.detail is not None:
            return self.detail
        if self.difference is not None:
            return number(self.difference)
        metrics = self.metrics
        if "compared_bit_by_bit" in metrics:
            return self._comparison
        others = [name for name in metrics if name != "wrong"]
        if "wrong" in metrics and len(others) == 1:
            return f"{fact(metrics['wrong'])} of {fact(metrics[others[0]])} wrong"
        return ", ".join(f"{label(name)} {fact(value)}" for name, value in metrics.items())

    @property
    def _comparison(self) -> str:
        """What comparing tensors bit by bit found, and what else is wrong with them: surplus or missing ones, by number."""
        parts = [f"{fact(self.metrics.get('unequal'))} of {fact(self.metrics['compared_bit_by_bit'])} differ in a bit"]
        known = {name: _whole(self.metrics.get(name)) for name in ("surplus", "missing")}
        parts += [f"{number} {name}" for name, number in known.items() if number]
        others = _whole(self.metrics.get("problems")) - sum(known.values())
        parts += [count(others, "other problem" if any(known.values()) else "problem")] if others > 0 else []
        return ", ".join(parts)

    def __repr__(self) -> str:
        limit = "" if self.tolerance is None else f", tolerance {number(self.tolerance)}"
        return f"<Check {self.name}: {self.outcome.value} ({self.finding}{limit})>"

    def to_dict(self) -> dict[str, Any]:
        """Return the check as it stands in the file, its metrics beside its other keys.

        Returns:
            Plain data: `outcome` and `detail` for a check of fitness and for what was not judged, `tolerance` where there is
            one.
        """
        fitness = {} if self.detail is None else {"outcome": self.outcome.value, "detail": self.detail}
        limit = {} if self.tolerance is None else {"tolerance": self.tolerance}
        verdict = {"judged": self.judged, "passed": self.passed}
        verdict |= {} if self.counts is None else {"counts": self.counts}
        return {"name": self.name, **fitness, **self.metrics, **limit, **verdict}


def _whole(value: object) -> int:
    """Return a count from a report, whoever wrote it; 0 for what is none."""
    number = as_number(value)
    return int(number) if number is not None and 0 < number < 1e15 else 0
