"""Two hundred random models, converted and verified: nothing is said against any of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from helpers.random_models import Recipe, drawn_seldom, recipes, save
from prenorm import convert
from prenorm.commands.verify import verify


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_no_sound_folder_is_doubted(half: int, tmp_path: Path) -> None:
    worst: list[float] = []

    @settings(max_examples=100, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(recipes())
    def check(recipe: Recipe) -> None:
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        recipe = type(recipe)(**{**vars(recipe), "seed": recipe.seed ^ half, "legacy": recipe.legacy ^ bool(half)})
        save(recipe, tmp_path / "checkpoint.pt")
        convert(tmp_path / "checkpoint.pt", folder, task=recipe.kind)
        report = verify(tmp_path / "checkpoint.pt", folder)
        assert report.passed, report.disagreements
        assert report.disagreements == ()
        for found in report.checks:
            if "max_abs_diff" in found.metrics:
                worst.append(found.metrics["max_abs_diff"])
                assert found.metrics["max_abs_diff"] < 1e-10

    with drawn_seldom():
        check()
    assert len(worst) >= 150
