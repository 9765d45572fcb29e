"""The errors of a proof that did not succeed, with the report that says why; what counts as judged is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.errors import NotProven
from prenorm.reports.text import Outcome

if TYPE_CHECKING:
    from prenorm.reports.model import Report


class ProofFailed(NotProven):
    """A proof did not succeed. `report` is the proof's; None where nothing could be compared at all."""

    def __init__(
        self,
        cause: str,
        *,
        report: Report | None = None,
        subject: str | Path | None = None,
        advice: str = "",
        problems: Sequence[str] = (),
    ) -> None:
        super().__init__(cause, subject=subject, advice=advice, problems=problems)
        self.report = report


class ParityFailed(ProofFailed):
    """The converted model does not compute what the checkpoint computes; nothing was published."""


class NotJudged(ProofFailed):
    """Nothing is known against the folder, but of a part that changes what it computes nothing is known at all."""


def require_all_judged(report: Report, folder: str | Path, consequence: str = "") -> None:
    """Refuse a report that passed and left something unjudged; one that failed says so itself.

    Args:
        report: the report.
        folder: what was judged, as the user named it.
        consequence: what follows, as the end of a sentence.

    Raises:
        NotJudged: if a part that changes what the folder's readers compute was not judged, or some values could not be.
    """
    left = [check for check in report.checks if check.counts or (check.is_made and not check.judged)]
    if left and report.outcome is not Outcome.FAILED:
        raise NotJudged(
            f"{report.words}, where strict accepts nothing unjudged that changes what the folder computes{consequence}",
            report=report,
            subject=folder,
            advice="Give what would judge it, or leave strict out:",
            problems=[f"{check.name}: {check.detail or 'some values are NaN or infinite'}" for check in left],
        )
