"""Two hundred random models, converted stage by stage and verified exhaustively: nothing is said against any of them."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from helpers.random_models import Recipe, drawn_seldom, recipes, save
from prenorm import convert
from prenorm.commands.verify import verify
from prenorm.reports.model import Check


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_no_sound_folder_is_doubted(half: int, tmp_path: Path) -> None:
    used: list[float] = []

    @settings(max_examples=100, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(recipes())
    def check(recipe: Recipe) -> None:
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        recipe = type(recipe)(**{**vars(recipe), "seed": recipe.seed ^ half, "legacy": recipe.legacy ^ bool(half)})
        save(recipe, tmp_path / "checkpoint.pt")
        proven = convert(tmp_path / "checkpoint.pt", folder, task=recipe.kind).report
        report = verify(tmp_path / "checkpoint.pt", folder, exhaustive=True)
        assert report.passed, report.disagreements
        assert report.disagreements == ()
        for line in (*proven.modules, *report.modules, *(check for check in report.checks if check.tolerance)):
            apart = line.difference if isinstance(line, Check) else line.max_abs_diff
            assert apart is not None and line.tolerance is not None
            used.append(apart / line.tolerance)

    with drawn_seldom():
        check()
    assert len(used) >= 1500
    assert max(used) < 0.5
    assert 1e-4 < statistics.median(used) < 0.1  # limits are two decades away, and no more
