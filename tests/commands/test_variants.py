"""Every variant converts and agrees with its own program, or is refused with the reason; the table says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from helpers.variant_cases import CASES
from helpers.variants import TABLE, VARIANTS, Case, job, row, run
from helpers.workers import run_old_transformers
from prenorm import convert

pytestmark = pytest.mark.slow

ROWS = {line.split(" | ")[0].removeprefix("| "): line for line in TABLE.read_text(encoding="utf-8").splitlines()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_variant(case: Case, tmp_path: Path) -> None:
    outcome, _ = run(case, tmp_path / "out")
    if case.refusal is not None:
        assert outcome.refusal is not None
        assert outcome.refusal[0] == case.refusal[0]
        assert case.refusal[1] in outcome.refusal[1]
        assert list(tmp_path.iterdir()) == []
    else:
        assert outcome.target == case.target
        assert outcome.fairseq is not None
        assert outcome.float64 is not None
        assert outcome.fairseq <= 1e-5
        assert outcome.float64 <= 1e-10
    # The table's figures are of the machine that wrote it; all else in its line is what this run gave.
    assert without_figures(ROWS[case.title]) == without_figures(row(case, outcome))


# One of each class, and what differs in the config.
IN_TRANSFORMERS_4 = (
    "dinkytrain-no-embedding-norm --task encoder",
    "sequence-classification --label-dict label_dict.txt",
    "regression",
    "spectral-norm-head",
    "sentence-ranking",
    "prenorm-masked-lm",
    "prenorm-classification",
    "prenorm-ranking",
    "activation-gelu-accurate --task encoder",
    "activation-linear --task encoder",
    "activation-relu-squared --task encoder",
    "scaled-embedding",
    "untied",
    "other-pad-id",
)


def test_folders_load_in_transformers_4_too(tmp_path: Path) -> None:
    cases = {case.title: case for case in CASES}
    jobs, classes = [], []
    for number, title in enumerate(IN_TRANSFORMERS_4):
        case = cases[title]
        result = convert(case.checkpoint, tmp_path / str(number), **case.options)
        jobs.append(job(case, result))
        classes.append(result.plan.architecture)
    script = SCRIPTS / "folder_distance.py"
    found = run_old_transformers(script, stdin=jobs)
    assert {item["version"].rpartition(".")[0] for item in found} == {"4.57"}
    assert [item["class"] for item in found] == classes
    assert not any(item["loading"] for item in found)
    assert max(item["apart"] for item in found) <= 1e-5


def without_figures(line: str) -> list[str]:
    """The cells of a line; a figure counts as being there."""
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    return [*cells[:3], *("figure" if cell else "" for cell in cells[3:])]


def test_no_fixture_is_left_out() -> None:
    made = {path.parent.name for path in VARIANTS.glob("*/about.json")}
    assert made <= {case.name for case in CASES}
