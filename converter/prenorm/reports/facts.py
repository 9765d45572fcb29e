"""What the report says was compared with what, as named values: the same for every form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prenorm.reports.model import Report
from prenorm.reports.text import exact, fact, label

Facts = list[tuple[str, str]]


def source_facts(report: Report) -> Facts:
    """The checkpoint."""
    return _named(report.source)


def target_facts(report: Report) -> Facts:
    """The folder, its files aside."""
    return _named({name: value for name, value in report.target.items() if name != "files"})


def target_files(report: Report) -> list[tuple[str, str, str]]:
    """The folder's files: name, bytes, SHA-256."""
    files = report.target.get("files")
    lines = [item for item in files if isinstance(item, Mapping)] if isinstance(files, list | tuple) else []
    return [(fact(line.get("name")), fact(line.get("bytes")), fact(line.get("sha256"))) for line in lines]


def proof_facts(report: Report) -> Facts:
    """How the two were compared."""
    if report.is_fitness:
        return [("tried in", report.reference)]
    facts = [("reference", report.reference)]
    if report.runtimes:
        facts.append(("folder run by", ", ".join(report.runtimes)))
    facts.append(("computed in", report.compute_dtype))
    if report.probe:
        facts.append(("probe", fact(report.probe)))
    return facts


def environment_facts(report: Report) -> Facts:
    """The versions that the numbers depend on."""
    return _named(report.environment)


def properties(report: Report) -> Iterator[tuple[str, str]]:
    """All of the above under dotted keys, for machines."""
    for prefix, values in (
        ("source", report.source),
        ("target", {name: value for name, value in report.target.items() if name != "files"}),
        ("probe", report.probe or {}),
        ("environment", report.environment),
    ):
        for name, value in values.items():
            yield f"{prefix}.{name}", exact(value)
    for file, _, digest in target_files(report):
        yield f"target.files.{file}.sha256", digest
    yield "reference", report.reference
    if report.runtimes:
        yield "runtimes", ", ".join(report.runtimes)
    yield "compute_dtype", report.compute_dtype
    yield "verdict", report.outcome.value


def _named(values: Mapping[str, object]) -> Facts:
    return [(label(name), fact(value)) for name, value in values.items()]
