"""Reports of a proof or a trial: their data model, and the readable forms that are made from it.

from prenorm.reports import read, write_report

write_report(Path("parity.html"), read(Path("my-model/parity_report.json").read_bytes()))
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.errors import UsageProblem

if TYPE_CHECKING:
    from prenorm.reports.details import Diagnosis, NoiseFloor, PositionLines
    from prenorm.reports.failure import NotJudged, ParityFailed
    from prenorm.reports.model import Audit, AuditRow, Check, ModuleLine, Report
    from prenorm.reports.reading import read
    from prenorm.reports.schema import schema

__all__ = [
    "SUFFIXES", "Audit", "AuditRow", "Check", "Diagnosis", "ModuleLine", "NoiseFloor", "NotJudged", "ParityFailed",
    "PositionLines", "Report", "check_suffix", "read", "render", "schema", "write_report",
]  # fmt: skip

# The one table of forms: suffix -> the module whose `render(report)` makes the text. They are imported when used, because
# `.html` draws plots and `prenorm --help` must not wait for a plotting library.
_FORMS = {
    ".json": "prenorm.reports.canonical",
    ".md": "prenorm.reports.markdown",
    ".html": "prenorm.reports.html",
    ".xml": "prenorm.reports.junit",
}
SUFFIXES = tuple(_FORMS)


def check_suffix(path: Path) -> str:
    """Check a report's name before anything is computed that would end up there.

    Args:
        path: the file to write.

    Returns:
        Its suffix in lower case.

    Raises:
        UsageProblem: if no form has it.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMS:
        raise UsageProblem(
            f"a report's suffix must be one of {', '.join(SUFFIXES)}", subject=path, advice="Name it, say, parity.html"
        )
    return suffix


def render(report: Report, suffix: str) -> str:
    """Make a report's text: `.json` canonical, `.md` for people and CI summaries, `.html` one page, `.xml` JUnit.

    Args:
        report: the report.
        suffix: one of `SUFFIXES`.

    Returns:
        The text.

    Raises:
        UsageProblem: if there is no such form.
    """
    text: str = import_module(_FORMS[check_suffix(Path(f"report{suffix}"))]).render(report)
    return text


def write_report(path: Path, report: Report) -> None:
    """Write a report in the form that the suffix of `path` picks, as UTF-8; an existing file is replaced.

    Args:
        path: the file to write.
        report: the report.

    Raises:
        UsageProblem: if no form has this suffix.
        OSError: if the file cannot be written.
    """
    path.write_bytes(render(report, check_suffix(path)).encode("utf-8"))


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `prenorm --help` must not wait for the data model."""
    homes = {"read": "reading", "schema": "schema"}
    homes |= dict.fromkeys(("NotJudged", "ParityFailed"), "failure")
    homes |= dict.fromkeys(("Diagnosis", "NoiseFloor", "PositionLines"), "details")
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{homes.get(name, 'model')}"), name)
