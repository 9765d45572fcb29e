"""The forms of a report, one module for each: which suffix picks it, and what a report does with them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from prenorm.errors import UsageProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The one table of forms: suffix -> the module whose `render(report)` makes the text. They are imported when used, because
# `.html` draws plots and `prenorm --help` must not wait for a plotting library.
_FORMS = {
    ".json": "prenorm.reports.canonical",
    ".md": "prenorm.reports.markdown",
    ".html": "prenorm.reports.html",
    ".xml": "prenorm.reports.junit",
}
SUFFIXES = tuple(_FORMS)


class ReportForms(Struct, frozen=True):
    """What a report can be made into."""

    def save(self, path: str | Path) -> None:
        """Write the report in the form that the suffix picks: .json, .md, .html or .xml. An existing file is replaced.

        Args:
            path: the file to write.

        Raises:
            UsageProblem: if no form has this suffix.
            OSError: if the file cannot be written.
        """
        write_report(Path(path), self)

    def plot(self) -> Figure:
        """Draw the largest difference of every module against its tolerance, which a notebook shows.

        Returns:
            matplotlib's figure, to be shown, changed or saved.
        """
        figure: Figure = import_module("prenorm.reports.plots").plot_figure(self)
        return figure

    def _repr_html_(self) -> str:
        """Return the page of the report as a part of another page, which a notebook shows."""
        part: str = import_module(_FORMS[".html"]).render_part(self)
        return part


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


def render(report: ReportForms, suffix: str) -> str:
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


def write_report(path: Path, report: ReportForms) -> None:
    """Write a report in the form that the suffix of `path` picks, as UTF-8; an existing file is replaced.

    Args:
        path: the file to write.
        report: the report.

    Raises:
        UsageProblem: if no form has this suffix.
        OSError: if the file cannot be written.
    """
    path.write_bytes(render(report, check_suffix(path)).encode("utf-8"))
