"""Every variant that a checkpoint can be, converted and held against what its own program computed.

`make tables` writes the table that fixtures/variants/README.md shows; `test_variants.py` checks every row of it.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.paths import FIXTURES
from helpers.scripts.folder_distance import measure
from prenorm import convert
from prenorm.commands.convert import Conversion
from prenorm.errors import PrenormError

VARIANTS = FIXTURES / "variants"
TABLE = VARIANTS / "README.md"


@dataclass(frozen=True)
class Case:
    """A checkpoint, the options it is converted with, and what must come of it: a class, or a refusal."""

    name: str
    target: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None  # exit code, and what the message must say
    expected: str = "expected.npz"

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies."""
        return VARIANTS / self.name if (VARIANTS / self.name).is_dir() else FIXTURES / self.name

    @property
    def checkpoint(self) -> Path:
        """The file that is given to `convert`."""
        return self.folder / str(self.about.get("checkpoint", "checkpoint.pt"))

    @property
    def about(self) -> dict[str, Any]:
        """What made it."""
        file = self.folder / "about.json"
        return json.loads(file.read_text()) if file.exists() else {"program": _program(self.name)}

    @property
    def title(self) -> str:
        """The name with the options, as in the table."""
        words = [f"--{key.replace('_', '-')} {_shown(value)}" for key, value in self.options.items()]
        return " ".join([self.name, *words])


def _program(name: str) -> str:
    return "DinkyTrain" if name.startswith("dinkytrain") else f"fairseq {name.split('-')[1]}"


def _shown(value: object) -> str:
    return value.name if isinstance(value, Path) else str(value)


@dataclass(frozen=True)
class Outcome:
    """What came of a case: the class and two distances, or exit code and message."""

    target: str
    fairseq: float | None = None
    float64: float | None = None
    refusal: tuple[int, str] | None = None

    @property
    def cells(self) -> tuple[str, str, str]:
        """Target, and the two distances, as in the table."""
        if self.refusal is not None:
            code, message = self.refusal
            return f"refused, exit {code}: {re.split(r'[;:,] |[.] ', message)[0]}", "", ""
        return self.target, f"{self.fairseq:.1e}", f"{self.float64:.1e}"


def run(case: Case, output: Path) -> tuple[Outcome, Conversion | None]:
    """Converts, loads the folder in transformers in float32, and measures."""
    try:
        result = convert(case.checkpoint, output, **case.options)
    except PrenormError as error:
        return Outcome("", refusal=(int(error.exit_code), str(error).removeprefix(f"{error.subject}: "))), None
    assert result.report.passed
    found = measure(**job(case, result))
    assert not found["loading"]
    assert found["class"] == result.plan.architecture
    return Outcome(result.plan.architecture, found["apart"], _float64(result)), result


def job(case: Case, result: Conversion) -> dict[str, Any]:
    """What `folder_distance.measure` needs to know of a conversion."""
    task = result.plan.task
    return {
        "folder": str(result.output),
        "kind": task.kind.value,
        "head": task.head.name if task.head else None,
        "pad": result.plan.description.pad_id,
        "expected": str(case.folder / case.expected),
    }


def _float64(result: Conversion) -> float:
    """The largest difference, over outputs and modules, that the tool itself found in float64."""
    return max(
        float(check.metrics["max_abs_diff"])
        for check in result.report.checks
        if check.name in ("logits", "modules", "extra rows")
    )


def row(case: Case, outcome: Outcome) -> str:
    """The case's line of the table."""
    target, fairseq, float64 = outcome.cells
    return f"| {case.title} | {case.about['program']} | {target} | {fairseq} | {float64} |"


def main() -> None:
    """Runs everything and writes the table."""
    from helpers.variant_cases import CASES

    lines = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            lines.append(row(case, run(case, Path(scratch) / "out")[0]))
        print(lines[-1], flush=True)
    text = TABLE.read_text(encoding="utf-8")
    head, rule, _ = text.partition("|---|---|---|---|---|\n")
    TABLE.write_text(head + rule + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
