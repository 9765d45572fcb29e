"""The report as GitHub-flavoured Markdown, made for a CI step summary: the verdict first, details collapsed.

GitHub shows at most 1 MiB per step, and nothing at all of more. So every part of the template has a share of bytes, what
failed comes first in it, and what did not fit is counted. With the fixed text the shares stay below 1 MiB = 1,048,576.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prenorm.reports.facts import environment_facts, proof_facts, source_facts, target_facts, target_files
from prenorm.reports.model import Report
from prenorm.reports.sentences import activation_sentences, file_name, margin_sentence, noun, summary
from prenorm.reports.templating import markdown_environment
from prenorm.reports.text import Outcome, count, fact, label

_T = TypeVar("_T")
_HEADLINES = {
    Outcome.PASSED: "✅ {} passed",
    Outcome.FAILED: "❌ {} FAILED",
    Outcome.NOT_JUDGED: "⚠️ {} not judged",
}
_OUTCOMES = {
    Outcome.PASSED: "✅ passed",
    Outcome.FAILED: "❌ FAILED",
    Outcome.NOT_JUDGED: "⚠️ not judged",
    Outcome.NOT_RUN: "➖ not run",
}


@dataclass(frozen=True)
class Kept:
    """The lines that fit into a share of bytes, and how many did not."""

    lines: Sequence[str]
    rest: str


def render(report: Report) -> str:
    """Make the Markdown.

    Args:
        report: the report.

    Returns:
        Less than 1 MiB in UTF-8, whatever is in the report.
    """
    cost = report.cost_of_type or {}
    text = (
        markdown_environment()
        .get_template("report.md.jinja")
        .render(
            report=report,
            headline=_headline(report),
            file=file_name(report),
            model=fact(report.target.get("model_type", "a folder")),
            summary=summary(report),
            margin=margin_sentence(report),
            activation=activation_sentences(report),
            outcomes=_OUTCOMES,
            within=within,
            checks=sorted(report.checks, key=lambda check: check.outcome is not Outcome.FAILED),
            modules=sorted(report.modules, key=lambda line: line.passed),
            tensors=sorted(report.tensors, key=lambda row: row.equal is not False),
            different=sum(row.equal is False for row in report.tensors),
            facts=_facts(report),
            cost_type=fact(cost.get("dtype")),
            cost=", ".join(f"{label(name)} {fact(value)}" for name, value in cost.items() if name != "dtype"),
        )
    )
    return text.rstrip("\n") + "\n"


def _headline(report: Report) -> str:
    """Return the verdict, marked as a doubt where a part of the folder that counts was not judged."""
    if report.outcome is Outcome.PASSED and report.unjudged_parts:
        return f"⚠️ {noun(report)} {report.words}"
    return _HEADLINES[report.outcome].format(noun(report))


def _facts(report: Report) -> list[tuple[str, str]]:
    """Return what was compared with what, each fact with the side that it is about."""
    return [
        *((f"checkpoint: {name}", value) for name, value in source_facts(report)),
        *((f"folder: {name}", value) for name, value in target_facts(report)),
        *((f"proof: {name}", value) for name, value in proof_facts(report)),
        *((f"version of {name}", value) for name, value in environment_facts(report)),
        *((f"SHA-256 of {name}", digest) for name, _, digest in target_files(report)),
    ]


def within(items: Sequence[_T], line: Callable[[_T], str], share: int, noun: str) -> Kept:
    """Return the lines of as many items as a share of bytes holds.

    Args:
        items: what the lines are made of.
        line: makes one.
        share: in bytes of UTF-8.
        noun: what an item is, in the singular.

    Returns:
        The lines, and how many did not fit.
    """
    lines: list[str] = []
    used = 0
    for item in items:
        made = line(item)
        used += len(made.encode("utf-8"))
        if used > share:
            return Kept(lines, count(len(items) - len(lines), f"more {noun}"))
        lines.append(made)
    return Kept(lines, "")
