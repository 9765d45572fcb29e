"""The report as one HTML page: nothing is loaded from anywhere, and it can be read without running its script.

From top to bottom it answers: passed or not, and by which margin; if not, where and why; how far apart each check, module and
position is; what was compared with what; and what became of every tensor.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from markupsafe import Markup

from prenorm.reports import plots
from prenorm.reports.facts import Facts, environment_facts, proof_facts, source_facts, target_facts, target_files
from prenorm.reports.model import AuditRow, Report
from prenorm.reports.sentences import activation_sentences, file_name, margin_sentence, noun, summary
from prenorm.reports.series import describe_grid, describe_points, finding, grid, grid_finding, points
from prenorm.reports.templating import html_environment
from prenorm.reports.text import Outcome, exact, fact, label


class Shown(NamedTuple):
    """An outcome on the page: a class for the colour, a symbol and a word, so that colour alone tells nothing."""

    colour: str
    symbol: str
    word: str


class Figure(NamedTuple):
    """A plot as `<svg>` elements for wide and narrow screens, what it shows, and what stands below it."""

    title: str
    wide: Markup
    narrow: Markup
    caption: str


_OUTCOMES = {
    Outcome.PASSED: Shown("passed", "✓", "PASSED"),
    Outcome.FAILED: Shown("failed", "✗", "FAILED"),
    Outcome.NOT_JUDGED: Shown("not-judged", "?", "NOT JUDGED"),
    Outcome.NOT_RUN: Shown("not-judged", "–", "NOT RUN"),
}
_FATES = {True: Shown("passed", "✓", ""), False: Shown("failed", "✗", ""), None: Shown("neutral", "–", "")}
# The choices of the tensor table's filter: value of a row's `data-kind`, and what people read.
_KINDS = {
    "different": "different",
    "equal": "moved and equal",
    "made": "moved, not compared",
    "dropped": "left out",
}


def render(report: Report) -> str:
    """Make the page.

    Args:
        report: the report.

    Returns:
        HTML, to be written in UTF-8.
    """
    return _rendered(report, is_part=False)


def render_part(report: Report) -> str:
    """Make the page as a part of another one, such as a notebook: its styles hold for nothing else, and nothing is run.

    Args:
        report: the report.

    Returns:
        One element.
    """
    return _rendered(report, is_part=True)


def _rendered(report: Report, *, is_part: bool) -> str:
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    different_first = sorted(report.tensors, key=lambda row: row.equal is not False)
    tensors = [(_kind(row), row) for row in different_first]
    kinds = {kind for kind, _ in tensors}
    return (
        html_environment()
        .get_template("page.html.jinja")
        .render(
            is_part=is_part,
            report=report,
            noun=noun(report),
            file=file_name(report),
            summary=summary(report),
            margin=margin_sentence(report),
            activation=activation_sentences(report),
            policy=content_policy(script),
            style=Markup(style),
            script=Markup(script),
            outcomes=_OUTCOMES,
            verdict=_verdict(report),
            passed=Outcome.PASSED,
            failed=Outcome.FAILED,
            fates=_FATES,
            kinds=[(kind, words) for kind, words in _KINDS.items() if kind in kinds],
            tensors=tensors,
            different=sum(row.equal is False for row in report.tensors),
            divergence=_divergence(report),
            sides=_sides(report),
            errors=_errors(report),
            positions=_positions(report),
            cost=[(label(name), fact(value)) for name, value in (report.cost_of_type or {}).items() if name != "dtype"],
            files=target_files(report),
            writer=fact(report.environment.get("prenorm", "of an unknown version")),
            labelled=_labelled,
            zip=zip,
        )
    )


def _verdict(report: Report) -> Shown:
    """Return the verdict, in the colour of a doubt where a part of the folder that counts was not judged."""
    plain = _OUTCOMES[report.outcome]
    if report.outcome is Outcome.PASSED and report.unjudged_parts:
        doubt = _OUTCOMES[Outcome.NOT_JUDGED]
        return Shown(doubt.colour, doubt.symbol, report.words.replace(plain.word.lower(), plain.word, 1))
    return plain


def content_policy(script: str) -> str:
    """Allow nothing from outside, and no script but ours: even a missed escape would run nothing.

    Args:
        script: ours.

    Returns:
        What a page states as its Content-Security-Policy.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; form-action 'none'"


def _divergence(report: Report) -> Facts:
    if report.diagnosis is None:
        return []
    diagnosis = report.diagnosis
    facts = [("module", diagnosis.module), ("made by the rule", diagnosis.rule), ("hint", diagnosis.hint)]
    return [(name, value) for name, value in facts if value]


def _sides(report: Report) -> list[tuple[str, Facts]]:
    if report.is_fitness:
        return [("Folder", target_facts(report)), ("Tried in", environment_facts(report))]
    return [
        ("Checkpoint", source_facts(report)),
        ("Folder", target_facts(report)),
        ("Proof", [*proof_facts(report), *environment_facts(report)]),
    ]


def _labelled(figures: Mapping[str, Any]) -> Facts:
    return [(label(name), exact(value)) for name, value in figures.items()]


def _errors(report: Report) -> Figure | None:
    plotted = points(report)
    if report.is_fitness or not plotted:
        return None
    caption = (
        "How far reference and folder are apart, module by module in the order in which they compute. "
        "Point at a mark for its name and figures. "
    )
    wide, narrow = Markup(plots.plot_svg(report)), Markup(plots.plot_svg(report, narrow=True))
    return Figure(finding(plotted), wide, narrow, caption + describe_points(plotted))


def _positions(report: Report) -> Figure | None:
    wide, narrow, plotted = plots.position_svg(report), plots.position_svg(report, narrow=True), grid(report)
    if wide is None or narrow is None or plotted is None:
        return None
    caption = "Where on the probe's full-length row the difference lies. "
    if plotted.in_tolerances:
        caption += "Red is beyond the module's tolerance. "
    return Figure(grid_finding(plotted), Markup(wide), Markup(narrow), caption + describe_grid(plotted))


def _kind(row: AuditRow) -> str:
    """Return the value of the filter that a tensor falls under."""
    if row.equal is False:
        return "different"
    if row.target is None:
        return "dropped"
    return "equal" if row.equal else "made"
