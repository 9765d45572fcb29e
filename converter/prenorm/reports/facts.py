"""What the report says was compared with what, as named values: the same for every form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prenorm.reports.content import Content
from prenorm.reports.text import exact, fact, label

Facts = list[tuple[str, str]]


def source_facts(content: Content) -> Facts:
    """The checkpoint."""
    return _named(content.source)


def target_facts(content: Content) -> Facts:
    """The folder, its files aside."""
    return _named({name: value for name, value in content.target.items() if name != "files"})


def target_files(content: Content) -> list[tuple[str, str, str]]:
    """The folder's files: name, bytes, SHA-256."""
    files = content.target.get("files")
    lines = [item for item in files if isinstance(item, Mapping)] if isinstance(files, list | tuple) else []
    return [(fact(line.get("name")), fact(line.get("bytes")), fact(line.get("sha256"))) for line in lines]


def proof_facts(content: Content) -> Facts:
    """How the two were compared."""
    if content.fitness:
        return [("tried in", content.reference)]
    facts = [("reference", content.reference)]
    if content.runtimes:
        facts.append(("folder run by", ", ".join(content.runtimes)))
    facts.append(("computed in", content.compute_dtype))
    if content.probe:
        facts.append(("probe", fact(content.probe)))
    return facts


def environment_facts(content: Content) -> Facts:
    """The versions that the numbers depend on."""
    return _named(content.environment)


def properties(content: Content) -> Iterator[tuple[str, str]]:
    """All of the above under dotted keys, for machines."""
    for prefix, values in (
        ("source", content.source),
        ("target", {name: value for name, value in content.target.items() if name != "files"}),
        ("probe", content.probe),
        ("environment", content.environment),
    ):
        for name, value in values.items():
            yield f"{prefix}.{name}", exact(value)
    for file, _, digest in target_files(content):
        yield f"target.files.{file}.sha256", digest
    yield "reference", content.reference
    if content.runtimes:
        yield "runtimes", ", ".join(content.runtimes)
    yield "compute_dtype", content.compute_dtype
    yield "verdict", content.outcome.value


def _named(values: Mapping[str, object]) -> Facts:
    return [(label(name), fact(value)) for name, value in values.items()]
