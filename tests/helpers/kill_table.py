"""The kill table as a file: which checks saw each fault, and whether the known script's gate let it through.

`make tables` writes it; the tests compare with it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_HEAD = """# What `verify` catches

Each fault was put into a sound folder (or into the model that computes it), which was verified against its checkpoint.
A cell names the checks that failed. Behind the bar is what the gate of one-off scripts says of the same folder: one sentence,
float32, every logit within 1e-3. `missed` is a fault that it lets through. Written by `make tables`.

| fault | masked LM | classification | multiple choice | xlm-roberta-xl |
|---|---|---|---|---|
"""


def cells(failed: Sequence[str], gate: bool) -> str:
    """One cell: the checks that failed, and the gate's word."""
    return f"{', '.join(sorted(failed))} / {'missed' if gate else 'seen'}"


def parse(path: Path) -> dict[str, dict[str, str]]:
    """The table's cells by fault and kind."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| fault"):
            name, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            found[name] = dict(zip(KINDS, rest, strict=True))
    return found


def write(found: dict[str, dict[str, str]]) -> None:
    """Writes the table."""
    lines = [f"| {name} | " + " | ".join(row.get(kind, "") for kind in KINDS) + " |" for name, row in found.items()]
    TABLE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Runs every fault and writes what came of it."""
    import shutil
    import tempfile

    import pytest

    from helpers.folder_faults import FAULTS
    from helpers.gate import passes, prepared_for
    from prenorm import convert
    from prenorm.commands.verify import verify

    found: dict[str, dict[str, str]] = {fault.name: {} for fault in FAULTS}
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
    write(found)


if __name__ == "__main__":
    main()
