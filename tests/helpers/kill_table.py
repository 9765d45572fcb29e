"""The kill table as a file: which checks saw each fault, and whether the known script's gate let it through.

`make tables` writes it; the tests compare with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from helpers.paths import FIXTURES, TESTS

VARIANTS = FIXTURES / "variants"
LABELS = VARIANTS / "sequence-classification" / "label_dict.txt"
# One small checkpoint for each kind of folder.
SOURCES = {
    "masked-lm": ("activation-gelu", {}),
    "classification": ("sequence-classification", {"label_dict": LABELS}),
    "choice": ("sentence-ranking", {}),
    "xl": ("prenorm-masked-lm", {}),
}
TABLE = TESTS / "proof" / "kill_table.md"
KINDS = ("masked-lm", "classification", "choice", "xl")
RUNTIMES = ("tensorflow", "flax")
_HEAD = """# What `verify` catches

Each fault was put into a sound folder (or into the model that computes it), which was verified against its checkpoint.
A cell names the checks that failed. Behind the bar is what the gate of one-off scripts says of the same folder: one sentence,
float32, every logit within 1e-3. `missed` is a fault that it lets through. Written by `make tables`.

| fault | masked LM | classification | multiple choice | xlm-roberta-xl |
|---|---|---|---|---|
"""


_MODELS_HEAD = """
## In TensorFlow and Flax

These faults were put into `prenorm_model`'s Keras and Flax models, and sound folders were verified in them
(`--runtime tensorflow`, `--runtime flax`). A cell names the checks that failed.

| fault of the model | folder | TensorFlow | Flax |
|---|---|---|---|
"""
# What became of each fault of a model in each kind of folder, by runtime.
OfModels = dict[tuple[str, str], dict[str, str]]


def cells(failed: Sequence[str], gate: bool) -> str:
    """One cell: the checks that failed, and the gate's word."""
    return f"{', '.join(sorted(failed))} / {'missed' if gate else 'seen'}"


def parse(path: Path) -> dict[str, dict[str, str]]:
    """The first table's cells by fault and kind."""
    return {name: dict(zip(KINDS, rest, strict=True)) for name, *rest in _rows(path, 0)}


def parse_models(path: Path) -> OfModels:
    """The second table's cells."""
    return {(name, kind): dict(zip(RUNTIMES, rest, strict=True)) for name, kind, *rest in _rows(path, 1)}


def _rows(path: Path, number: int) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").split("\n## ")[number].splitlines():
        if line.startswith("| ") and not line.startswith("| fault"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def write(found: dict[str, dict[str, str]], of_models: OfModels) -> None:
    """Writes both tables."""
    lines = [f"| {name} | " + " | ".join(row.get(kind, "") for kind in KINDS) + " |" for name, row in found.items()]
    others = [f"| {' | '.join((*key, *(row[name] for name in RUNTIMES)))} |" for key, row in of_models.items()]
    text = _HEAD + "\n".join(lines) + "\n" + _MODELS_HEAD + "\n".join(others) + "\n"
    TABLE.write_text(text, encoding="utf-8")


def main() -> None:
    """Runs every fault and writes what came of it."""
    import shutil
    import tempfile

    import pytest

    from helpers.folder_faults import FAULTS
    from helpers.gate import passes, prepared_for
    from helpers.runtime_faults import cells_of
    from prenorm import convert
    from prenorm.commands.verify import verify

    found: dict[str, dict[str, str]] = {fault.name: {} for fault in FAULTS}
    of_models: OfModels = {}
    with tempfile.TemporaryDirectory() as scratch:
        for kind, (name, options) in SOURCES.items():
            source, sound = VARIANTS / name / "checkpoint.pt", Path(scratch) / kind
            convert(source, sound, **options)  # type: ignore[arg-type]
            for number, fault in enumerate(fault for fault in FAULTS if kind in fault.kinds):
                folder = Path(scratch) / f"{kind}-{number}"
                shutil.copytree(sound, folder)
                with pytest.MonkeyPatch.context() as monkeypatch:
                    fault.plant(folder, monkeypatch)
                    report = verify(source, folder, **options)
                    gate = passes(prepared_for(source, str(report.target["task"])), folder)
                found[fault.name][kind] = cells([check.name for check in report.checks if not check.passed], gate)
        for runtime in RUNTIMES:
            for key, cell in cells_of(runtime, {kind: Path(scratch) / kind for kind in SOURCES}).items():
                of_models.setdefault(key, {})[runtime] = cell
    write(found, of_models)


if __name__ == "__main__":
    main()
