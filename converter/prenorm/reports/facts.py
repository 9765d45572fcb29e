"""What the report says was compared with what, as named values: the same for every form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prenorm.reports.model import Check, Report
from prenorm.reports.text import exact, fact, label

Facts = list[tuple[str, str]]


def source_facts(report: Report) -> Facts:
    """Return what the report says of the checkpoint.

    Args:
        report: the report.

    Returns:
        Name and value, in the report's order.
    """
    return _named(report.source)


def target_facts(report: Report) -> Facts:
    """Return what the report says of the folder, without its files.

    Args:
        report: the report.

    Returns:
        Name and value, in the report's order.
    """
    return _named({name: value for name, value in report.target.items() if name != "files"})


def target_files(report: Report) -> list[tuple[str, str, str]]:
    """Return the folder's files.

    Args:
        report: the report.

    Returns:
        Name, bytes and SHA-256 of each; nothing where the report lists none.
    """
    files = report.target.get("files")
    lines = [item for item in files if isinstance(item, Mapping)] if isinstance(files, list | tuple) else []
    return [(fact(line.get("name")), fact(line.get("bytes")), fact(line.get("sha256"))) for line in lines]


def proof_facts(report: Report) -> Facts:
    """Return how checkpoint and folder were compared.

    Args:
        report: the report.

    Returns:
        Name and value.
    """
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
    """Return the versions that the numbers depend on.

    Args:
        report: the report.

    Returns:
        Name and version.
    """
    return _named(report.environment)


def properties(report: Report) -> Iterator[tuple[str, str]]:
    """Yield all facts under dotted keys, for machines: numbers with all their digits.

    Args:
        report: the report.

    Yields:
        tuple[str, str]: key and value.
    """
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
    for example in report.examples or ():
        yield "example", example.sentence
    for name, value in (report.other_activation or {}).items():
        yield f"other_activation.{name}", exact(value)
    if report.runtimes:
        yield "runtimes", ", ".join(report.runtimes)
    yield "compute_dtype", report.compute_dtype
    yield "verdict", report.words


def _named(values: Mapping[str, object]) -> Facts:
    """Return a table of the report as named values."""
    return [(label(name), fact(value)) for name, value in values.items()]


def parity_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Return the parity table.

    Args:
        report: the report.

    Returns:
        Check, largest difference, tolerance and outcome of each row.
    """
    return [
        (check.name, _worst(check), "" if check.tolerance is None else f"{check.tolerance:.1e}", _outcome(check))
        for check in report.checks
    ]


def _outcome(check: Check) -> str:
    return ("passed" if check.judged else "not judged") if check.passed else "FAILED"


def _worst(check: Check) -> str:
    metrics = check.metrics
    if check.detail is not None:
        return check.detail
    if "max_abs_diff" in metrics:
        return f"{metrics['max_abs_diff']:.1e}"
    if "compared_bit_by_bit" in metrics:
        return check.finding
    if "tokens" in metrics:
        return f"{metrics['wrong']} of {metrics['tokens']} wrong"
    count = metrics.get("disagreements", 0)
    return f"{count} disagreement{'' if count == 1 else 's'}"
