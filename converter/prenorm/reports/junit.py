"""The report as JUnit XML: one test case per check, for CI systems that collect test results.

Elements and attributes are those that Jenkins, GitLab and GitHub's reporters share. Nothing was timed, so every time is 0
and there is no timestamp: the same report gives the same bytes.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from prenorm.reports.facts import properties
from prenorm.reports.model import Check, Report
from prenorm.reports.sentences import file_name, noun, summary
from prenorm.reports.text import Outcome, exact, number, visible

# No CI system shows more of an attribute; the whole stands in the element's text.
_ATTRIBUTE_LIMIT = 1000


def render(report: Report) -> str:
    """Make the XML document. A proof that is not judged is an error: it must not look like a pass.

    Args:
        report: the report.

    Returns:
        XML, to be written in UTF-8.
    """
    suite = Element("testsuite", name=_short(f"{noun(report).lower()} of {file_name(report)}"), time="0")
    stated = SubElement(suite, "properties")
    for name, value in properties(report):
        SubElement(stated, "property", name=_short(name), value=_short(value))
    for check in report.checks:
        _add_case(suite, report, check)
    if not any(case.find("failure") is not None or case.find("error") is not None for case in suite.iter("testcase")):
        _add_verdict(suite, report)
    if report.objections or report.causes:
        SubElement(suite, "system-out").text = "\n".join(map(visible, [*report.causes, *report.objections]))
    root = Element("testsuites", name="prenorm", time="0")
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        total = str(len(list(suite.iter(tag))))
        suite.set(name, total)
        if name != "skipped":  # of the whole document, no schema has that
            root.set(name, total)
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add_case(suite: Element, report: Report, check: Check) -> None:
    case = _case(suite, report, check.name)
    if check.outcome is Outcome.FAILED:
        failure = SubElement(case, "failure", type=f"{noun(report)}Failed", message=_short(_message(check)))
        failure.text = "\n".join(map(visible, _failure(report, check)))
    elif check.outcome is Outcome.NOT_RUN:
        SubElement(case, "skipped", message=_short(f"not run: {check.finding}"))
    elif check.counts is not None:
        SubElement(case, "skipped", message=_short(f"not judged: {check.finding}"))
    elif check.outcome is Outcome.NOT_JUDGED:
        SubElement(case, "error", type="NotJudged", message="NaN or infinity: agreement could not be judged")
    metrics = [f"{name}: {exact(value)}" for name, value in check.figures.items()]
    SubElement(case, "system-out").text = "\n".join(map(visible, metrics))


def _add_verdict(suite: Element, report: Report) -> None:
    """Add a case where the verdict is worse than what any check says: no green run without a proof."""
    if report.outcome is Outcome.PASSED:
        return
    case = _case(suite, report, "verdict")
    tag = "failure" if report.outcome is Outcome.FAILED else "error"
    element = SubElement(case, tag, type=f"{noun(report)}Failed" if tag == "failure" else "NotJudged")
    element.set("message", _short(summary(report)))
    element.text = "\n".join(map(visible, [summary(report), *report.contradictions]))


def _case(suite: Element, report: Report, name: str) -> Element:
    # Jenkins reads the class name as package and class, cut at its last dot.
    owner = file_name(report).replace(".", "_")
    return SubElement(
        suite, "testcase", classname=_short(f"{noun(report).lower()}.{owner}"), name=_short(name), time="0"
    )


def _message(check: Check) -> str:
    limit = "" if check.tolerance is None else f", tolerance {number(check.tolerance)}"
    return f"{check.name}: {check.finding}{limit}"


def _failure(report: Report, check: Check) -> list[str]:
    """Return why this check failed, what it found, and what else the report knows of it."""
    shows_cause = check.difference is not None or "compared_bit_by_bit" in check.metrics
    first, *others = [*(report.causes if shows_cause else []), _message(check)]
    return ["; ".join([first, *others[-1:]]), *others[:-1], *_explanation(report, check)]


def _explanation(report: Report, check: Check) -> list[str]:
    """Return what the report knows of why this check failed."""
    lines = [text for text in report.objections if text.startswith(f"{check.name}:")]
    if report.diagnosis is not None and check.difference is not None:
        lines.append(f"first divergence: {report.diagnosis.module}")
        lines += [f"rule: {report.diagnosis.rule}"] if report.diagnosis.rule else []
        lines += [f"hint: {report.diagnosis.hint}"] if report.diagnosis.hint else []
    if "compared_bit_by_bit" in check.metrics:
        lines += report.problems
        lines += [f"differs in a bit: {item.target or item.source}" for item in report.tensors if item.equal is False]
    return list(dict.fromkeys(lines))


def _short(text: str) -> str:
    return visible(text, _ATTRIBUTE_LIMIT)
