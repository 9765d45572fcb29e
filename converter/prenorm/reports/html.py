"""The report as one HTML page: nothing is loaded from anywhere, and it can be read without running its script.

From top to bottom it answers: passed or not; if not, where and why; what was compared with what; how far apart each check,
module and position is; and what became of every tensor.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from prenorm.reports import plots
from prenorm.reports.facts import Facts, environment_facts, proof_facts, source_facts, target_facts, target_files
from prenorm.reports.markup import Markup, element, joined, name_cell, row, table
from prenorm.reports.model import Check, Report
from prenorm.reports.plots.series import describe_grid, describe_points, grid, points
from prenorm.reports.sentences import file_name, noun, summary
from prenorm.reports.tensor_table import tensor_section
from prenorm.reports.text import Outcome, count, exact, fact, label, number

# A class for the colour, a symbol and a word: no outcome is told by colour alone.
_SHOWN = {
    Outcome.PASSED: ("passed", "✓", "PASSED"),
    Outcome.FAILED: ("failed", "✗", "FAILED"),
    Outcome.NOT_JUDGED: ("not-judged", "?", "NOT JUDGED"),
    Outcome.NOT_RUN: ("not-judged", "–", "NOT RUN"),
}


def render(report: Report) -> str:
    """The page, UTF-8."""
    style, script = (files("prenorm.reports").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{_SHOWN[report.outcome][2]}: {noun(report).lower()} of {file_name(report)}"),
        element("style", Markup(style)),
    )
    main = element("main", *(part for part in _parts(report) if part))
    body = element("body", _verdict(report), main, _footer(report), element("script", Markup(script)))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _policy(script: str) -> str:
    """Nothing from outside, and no script but ours: even a missed escape would run nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; form-action 'none'"


def _parts(report: Report) -> list[Markup | None]:
    return [
        _disagreements(report),
        _divergence(report),
        _compared(report),
        _checks(report),
        _errors(report),
        _positions(report),
        _cost(report),
        _modules(report),
        tensor_section(report.tensors),
        _files(report),
    ]


def _verdict(report: Report) -> Markup:
    name, symbol, word = _SHOWN[report.outcome]
    return element(
        "header",
        element("p", element("span", symbol, aria_hidden="true", class_="symbol"), " ", word, class_="word"),
        element(
            "div",
            element("h1", f"{noun(report)} of ", element("span", file_name(report), class_="long")),
            element("p", summary(report), class_="long"),
        ),
        class_=f"verdict {name}",
    )


def _disagreements(report: Report) -> Markup | None:
    found = report.objections
    if not found:
        return None
    return _section(
        "What disagrees",
        element("ul", *(element("li", element("div", text, class_="long")) for text in found)),
        "alert",
    )


def _divergence(report: Report) -> Markup | None:
    found = report.diagnosis
    if found is None:
        return None
    facts = [("module", found.module), ("made by the rule", found.rule), ("hint", found.hint)]
    intro = element("p", "In computing order, this module is the first to differ by more than its tolerance.")
    return _section("First divergence", joined(intro, _facts([(k, v) for k, v in facts if v])), "alert")


def _compared(report: Report) -> Markup:
    sides = [
        ("Checkpoint", source_facts(report)),
        ("Folder", target_facts(report)),
        ("Proof", [*proof_facts(report), *environment_facts(report)]),
    ]
    if report.is_fitness:
        sides = [("Folder", target_facts(report)), ("Tried in", environment_facts(report))]
    cards = (element("div", element("h3", title), _facts(facts), class_="card") for title, facts in sides)
    title = "What was tried" if report.is_fitness else "What was compared with what"
    return _section(title, element("div", *cards, class_="cards"))


def _facts(facts: Facts) -> Markup:
    return element(
        "dl",
        *(joined(element("dt", name), element("dd", value, class_="long")) for name, value in facts),
    )


def _checks(report: Report) -> Markup:
    head = ("check", "found" if report.is_fitness else "largest difference", "tolerance", "outcome")
    rows = [
        row(head, (check.name, _with_metrics(check), number(check.tolerance), _outcome(check.outcome)))
        for check in report.checks
    ]
    return _section(noun(report), table(head, rows) if rows else element("p", "No check was made."))


def _with_metrics(check: Check) -> Markup:
    """The finding, which opens to all metrics."""
    facts = [(label(name), exact(value)) for name, value in check.figures.items()]
    if not facts:
        return joined(check.finding)
    return element("details", element("summary", check.finding or "metrics"), _facts(facts))


def _outcome(outcome: Outcome) -> Markup:
    name, symbol, word = _SHOWN[outcome]
    shown = word if outcome is Outcome.FAILED else outcome.value
    return element("span", element("span", symbol, aria_hidden="true"), " ", shown, class_=f"outcome {name}")


def _errors(report: Report) -> Markup | None:
    if report.is_fitness:
        return None
    if not points(report):
        return _section("Error by module", element("p", "No module was compared."))
    caption = (
        "How far reference and folder are apart, module by module in the order in which they compute. "
        "Point at a mark for its name and figures. "
    )
    return _figure("Error by module", plots.error_svg(report), caption + describe_points(points(report)))


def _positions(report: Report) -> Markup | None:
    drawn, shown = plots.position_svg(report), grid(report)
    if drawn is None or shown is None:
        return None
    caption = "Where on the probe's full-length row the difference lies. "
    if shown.in_tolerances:
        caption += "Red is beyond the module's tolerance. "
    return _figure("Error by module and position", drawn, caption + describe_grid(shown))


def _figure(title: str, drawn: str, caption: str) -> Markup:
    # Narrow screens scroll the picture instead of shrinking its letters; the keyboard must reach it for that.
    scroller = element("div", Markup(drawn), class_="scroll plot", tabindex="0", role="group", aria_label=title)
    return _section(title, element("figure", scroller, element("figcaption", caption)))


def _cost(report: Report) -> Markup | None:
    if not report.cost_of_type:
        return None
    title = f"What storing as {fact(report.cost_of_type.get('dtype'))} costs"
    intro = element("p", "How far the folder's numbers moved when its weights were rounded.")
    facts = [(label(name), fact(value)) for name, value in report.cost_of_type.items() if name != "dtype"]
    return _section(title, joined(intro, _facts(facts)))


def _modules(report: Report) -> Markup | None:
    if not report.modules:
        return None
    head = ("module", "largest difference", "tolerance", "outcome")
    outcomes = (Outcome.PASSED if item.passed else Outcome.FAILED for item in report.modules)
    rows = [
        row(head, (name_cell(item.name), number(item.max_abs_diff), number(item.tolerance), _outcome(outcome)))
        for item, outcome in zip(report.modules, outcomes, strict=True)
    ]
    failed = sum(not item.passed for item in report.modules)
    title = f"{count(len(rows), 'module')}, {failed} diverging"
    return _section("Modules", element("details", element("summary", title), table(head, rows)))


def _files(report: Report) -> Markup | None:
    head = ("file", "bytes", "SHA-256")
    rows = [row(head, line) for line in target_files(report)]
    return _section("Files of the folder", table(head, rows)) if rows else None


def _footer(report: Report) -> Markup:
    writer = fact(report.environment.get("prenorm", "of an unknown version"))
    origin = "the report of verify --folder-only" if report.is_fitness else "parity_report.json"
    return element("footer", f"Made from {origin}, written by prenorm {writer}; it holds all figures in full.")


def _section(title: str, content: Markup, kind: str | None = None) -> Markup:
    return element("section", element("h2", title), content, class_=kind)
