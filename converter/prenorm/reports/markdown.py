"""The report as GitHub-flavoured Markdown, made for a CI step summary: the verdict first, details collapsed.

GitHub shows at most 1 MiB per step, and nothing at all of more. So every part has a share of bytes, what failed comes
first in it, and what did not fit is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from prenorm.reports.facts import environment_facts, proof_facts, source_facts, target_facts, target_files
from prenorm.reports.markdown_text import code, escape
from prenorm.reports.model import AuditRow, Check, ModuleLine, Report
from prenorm.reports.sentences import file_name, noun, summary
from prenorm.reports.text import Outcome, count, fact, label, number

_T = TypeVar("_T")
# Shares in UTF-8 bytes; with the fixed text they stay below 1 MiB = 1,048,576.
_SHARES = {"checks": 100_000, "sentences": 150_000, "facts": 100_000, "modules": 200_000, "tensors": 400_000}
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


def render(report: Report) -> str:
    """The Markdown, below 1 MiB in UTF-8 whatever is in the report."""
    model = fact(report.target.get("model_type", "a folder"))
    parts = [
        f"# {_HEADLINES[report.outcome].format(noun(report))}: {code(file_name(report))} → {code(model)}",
        "",
        escape(summary(report)),
        "",
        *_checks(report),
        *_divergence(report),
        *_disagreements(report),
        *_cost(report),
        *_compared(report),
        *_modules(report),
        *_tensors(report),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _checks(report: Report) -> list[str]:
    def line(check: Check) -> str:
        outcome = _OUTCOMES[check.outcome]
        return f"| {code(check.name)} | {escape(check.finding)} | {number(check.tolerance)} | {outcome} |"

    found = "found" if report.is_fitness else "largest difference"
    head = [f"| check | {found} | tolerance | outcome |", "|---|---|---|---|"]
    failed_first = sorted(report.checks, key=lambda check: check.outcome is not Outcome.FAILED)
    return _table(head, failed_first, line, "checks", "check")


def _divergence(report: Report) -> list[str]:
    found = report.diagnosis
    if found is None:
        return []
    lines = ["## First divergence", "", f"In computing order, {code(found.module)} is the first to differ."]
    lines += ["", f"Made by the rule {code(found.rule)}."] if found.rule else []
    lines += ["", f"**Hint:** {escape(found.hint)}"] if found.hint else []
    return [*lines, ""]


def _disagreements(report: Report) -> list[str]:
    if not report.objections:
        return []
    kept, rest = _within(report.objections, lambda text: f"- {escape(text)}", "sentences", "disagreement")
    return ["## What disagrees", "", *kept, "", *([rest, ""] if rest else [])]


def _cost(report: Report) -> list[str]:
    if not report.cost_of_type:
        return []
    cost = dict(report.cost_of_type)
    named = ", ".join(f"{label(name)} {fact(value)}" for name, value in cost.items() if name != "dtype")
    return [f"**Cost of storing as {escape(fact(cost.get('dtype')))}:** {escape(named)}.", ""]


def _compared(report: Report) -> list[str]:
    facts = [
        *((f"checkpoint: {name}", value) for name, value in source_facts(report)),
        *((f"folder: {name}", value) for name, value in target_facts(report)),
        *((f"proof: {name}", value) for name, value in proof_facts(report)),
        *((f"version of {name}", value) for name, value in environment_facts(report)),
        *((f"SHA-256 of {name}", digest) for name, _, digest in target_files(report)),
    ]
    lines = _table(
        ["| | |", "|---|---|"], facts, lambda line: f"| {escape(line[0])} | {code(line[1])} |", "facts", "line"
    )
    return _details("What was tried" if report.is_fitness else "What was compared with what", lines)


def _modules(report: Report) -> list[str]:
    if not report.modules:
        return []
    failed = sum(not item.passed for item in report.modules)

    def line(item: ModuleLine) -> str:
        outcome = _OUTCOMES[Outcome.PASSED if item.passed else Outcome.FAILED]
        return f"| {code(item.name)} | {number(item.max_abs_diff)} | {number(item.tolerance)} | {outcome} |"

    head = ["| module | largest difference | tolerance | outcome |", "|---|---|---|---|"]
    title = f"{count(len(report.modules), 'module')}, {failed} diverging"
    failed_first = sorted(report.modules, key=lambda item: item.passed)
    return _details(title, _table(head, failed_first, line, "modules", "module"))


def _tensors(report: Report) -> list[str]:
    if not report.tensors:
        return []
    different = sum(item.equal is False for item in report.tensors)

    def line(item: AuditRow) -> str:
        names = f"{code(item.source)} | {code(item.target)} | {code(item.operation)}"
        return f"| {names} | {item.bits} | {escape(item.reason)} |"

    head = ["| source tensor | target tensor | operation | bits | reason |", "|---|---|---|---|---|"]
    title = f"{count(len(report.tensors), 'tensor')}, {different} different"
    different_first = sorted(report.tensors, key=lambda item: item.equal is not False)
    return _details(title, _table(head, different_first, line, "tensors", "tensor"))


def _details(title: str, lines: Iterable[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "</details>", ""]


def _table(head: Sequence[str], items: Sequence[_T], line: Callable[[_T], str], share: str, noun: str) -> list[str]:
    kept, rest = _within(items, line, share, noun)
    return [*head, *kept, "", *([rest, ""] if rest else [])]


def _within(items: Sequence[_T], line: Callable[[_T], str], share: str, noun: str) -> tuple[list[str], str]:
    """The lines of as many items as the share of bytes holds, and a sentence that counts the others, if any."""
    lines: list[str] = []
    used = 0
    for item in items:
        made = line(item)
        used += len(made.encode("utf-8")) + 1
        if used > _SHARES[share]:
            return lines, f"… and {count(len(items) - len(lines), f'more {noun}')}, in `parity_report.json`."
        lines.append(made)
    return lines, ""
