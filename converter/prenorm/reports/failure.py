"""The error of a proof that failed, with the report that says why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.errors import NotProven

if TYPE_CHECKING:
    from prenorm.reports.model import Report


class ParityFailed(NotProven):
    """The converted model does not compute what the checkpoint computes; nothing was published.

    `report` is the proof's report; None where the model could not be compared at all.
    """

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
