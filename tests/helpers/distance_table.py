"""How far each fault is from its limit, in both schedules of the proof, as a file.

`make tables` writes it; the tests compare with it.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.folder_faults import FAULTS, Fault
from helpers.kill_table import SOURCES, VARIANTS
from helpers.paths import TESTS
from helpers.precise_faults import LONG_MODEL, PRECISE_FAULTS
from helpers.random_models import save
from prenorm import convert, verify
from prenorm.reports.model import Report

TABLE = TESTS / "proof" / "distance_table.md"
SCHEDULES = (False, True)  # exhaustive or not
NO_NUMBER = "none"
_HEAD = """# How far faults are from their limits

The largest difference over what rounding explains, of all modules and the logits, as a power of ten: 0 is the limit. `none`
is a fault that no number shows, `inf` one that gives no numbers. Above are faults in a model of 512 positions, below those of
the kill table in its masked LM. Written by `make tables`.

| fault | stage by stage | exhaustive |
|---|---|---|
"""


def distance(report: Report) -> str:
    """The decimal logarithm of the largest difference over its limit, to one digit."""
    checks = [(check.difference, check.tolerance) for check in report.checks if check.tolerance is not None]
    pairs = [*checks, *((line.max_abs_diff, line.tolerance) for line in report.modules)]
    if any(check.name == "logits" and check.is_made and check.tolerance is None for check in report.checks):
        return "inf"  # nothing could be computed
    shares = [apart / limit for apart, limit in pairs if apart and limit]
    most = max(shares, default=0.0)
    failed = not all(check.passed for check in report.checks if check.tolerance is not None)
    if most <= 1:
        return "inf" if failed else NO_NUMBER
    return f"{math.log10(most):.1f}" if math.isfinite(most) else "inf"


def make_long(folder: Path) -> tuple[Path, Path]:
    """A model of 512 positions, and its sound folder."""
    save(LONG_MODEL, folder / "checkpoint.pt")
    return folder / "checkpoint.pt", convert(folder / "checkpoint.pt", folder / "sound", task="masked-lm").output


def judged(fault: Fault, checkpoint: Path, sound: Path, scratch: Path, *, exhaustive: bool) -> Report:
    """What a sound folder with a fault is judged to be."""
    folder = scratch / "faulty"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fault.plant(folder, monkeypatch)
        return verify(checkpoint, folder, exhaustive=exhaustive)


def parse() -> dict[str, tuple[str, ...]]:
    """The table's cells by fault."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return {name: tuple(cells) for name, *cells in rows}


def is_as_before(found: str, before: str) -> bool:
    """Whether a distance is that of the table, but for a factor of ten."""
    if found == before or before in ("inf", NO_NUMBER) or found in ("inf", NO_NUMBER):
        return found == before
    return abs(float(found) - float(before)) <= 1


def _lines(scratch: Path) -> Iterator[str]:
    long, short = scratch / "long", scratch / "short"
    long.mkdir()
    source = VARIANTS / SOURCES["masked-lm"][0] / "checkpoint.pt"
    groups = ((PRECISE_FAULTS, make_long(long)), (FAULTS, (source, convert(source, short).output)))
    for faults, (checkpoint, sound) in groups:
        for fault in faults:
            if "masked-lm" in fault.kinds:
                reports = [judged(fault, checkpoint, sound, scratch, exhaustive=wanted) for wanted in SCHEDULES]
                yield f"| {fault.name} | {' | '.join(map(distance, reports))} |\n"


def main() -> None:
    """Plants every fault and writes how far it shows."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        TABLE.write_text(_HEAD + "".join(_lines(Path(scratch))), encoding="utf-8")


if __name__ == "__main__":
    main()
