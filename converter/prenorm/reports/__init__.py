"""Readable reports of a parity proof, all of them made from the content of `parity_report.json` and nothing else.

from prenorm.reports import write_report

write_report(Path("parity.html"), json.loads(Path("my-model/parity_report.json").read_text()))
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from prenorm.errors import UsageProblem

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
    """The suffix of `path` in lower case, before anything is computed that would end up there.

    Raises:
        UsageProblem: if no form has it.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMS:
        raise UsageProblem(
            f"a report's suffix must be one of {', '.join(SUFFIXES)}", subject=path, advice="Name it, say, parity.html"
        )
    return suffix


def render(report: Mapping[str, object], suffix: str) -> str:
    """The report as text: `.json` canonical, `.md` for people and CI summaries, `.html` one page, `.xml` JUnit.

    Args:
        report: the content of a `parity_report.json` (see `schema.json` beside this file).
        suffix: one of `SUFFIXES`.

    Raises:
        UsageProblem: if there is no such form, or `report` is no parity report.
    """
    text: str = import_module(_FORMS[check_suffix(Path(f"report{suffix}"))]).render(report)
    return text


def write_report(path: Path, report: Mapping[str, object]) -> None:
    """Writes the report in the form that the suffix of `path` picks, as UTF-8; an existing file is replaced.

    Raises:
        UsageProblem: if no form has this suffix, or `report` is no parity report.
        OSError: if the file cannot be written.
    """
    path.write_bytes(render(report, check_suffix(path)).encode("utf-8"))
