"""Folders that compute in float32: judged by float32's own rounding, as it is measured on the checkpoint's side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from helpers.commands import run_command
from helpers.paths import BPE, FAIRSEQ_PYTHON, FIXTURES, MLM
from helpers.random_models import Recipe, drawn_seldom, recipes, save
from prenorm import convert
from prenorm.commands.verify import verify
from prenorm.reports import render

pytestmark = pytest.mark.slow

CLASSIFICATION = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"


def test_no_sound_folder_is_doubted(tmp_path: Path) -> None:
    closest: list[float] = []

    @settings(
        max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip
    @given(recipes())
    def check(recipe: Recipe) -> None:
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        save(recipe, tmp_path / "checkpoint.pt")
        convert(tmp_path / "checkpoint.pt", folder, task=recipe.kind)
        report = verify(tmp_path / "checkpoint.pt", folder, compute="float32")
        assert report.passed, report.disagreements
        closest.extend(item.max_abs_diff / item.tolerance for item in report.modules if item.range)

    with drawn_seldom():
        check()
    assert 0.05 < max(closest) < 1


@pytest.mark.parametrize("checkpoint", [MLM, CLASSIFICATION], ids=["masked-lm", "classification"])
@pytest.mark.parametrize("runtime", ["bundled", "both"])
def test_the_tolerance_is_that_of_float32_and_faults_are_far_beyond_it(
    checkpoint: Path, runtime: str, tmp_path: Path
) -> None:
    folder = convert(checkpoint, tmp_path / "out").output
    sound = verify(checkpoint, folder, compute="float32", runtime=runtime)
    assert sound.passed and sound.compute_dtype == "float32"
    logits = sound.check("logits").metrics
    assert (
        1e-9 * logits["range"]
        < logits["max_abs_diff"]
        < (sound.check("logits").tolerance or 0)
        < 1e-5 * logits["range"]
    )
    floor: Any = json.loads(render(sound, ".json"))["noise_floor"]
    assert 0 < floor["modules"]["layers.0.out"] < 1e-5
    for values, hint in (
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps is 1e-12"),
        ({"hidden_act": "gelu_new"}, "the activation is the tanh form of GELU"),
    ):
        spoiled = shutil.copytree(folder, tmp_path / "spoiled", dirs_exist_ok=True)
        config = json.loads((spoiled / "config.json").read_text())
        (spoiled / "config.json").write_text(json.dumps({**config, **values}))
        found = verify(checkpoint, spoiled, compute="float32", runtime=runtime)
        assert not found.check("modules").passed and found.divergence is not None
        assert hint in str(found.divergence.hint)


def test_the_command_and_real_fairseq(tmp_path: Path) -> None:
    folder = convert(MLM, tmp_path / "out", bpe_dir=BPE).output
    options = ("--bpe-dir", BPE, "--compute", "float32", "--json")
    fairseq = ("--reference", "fairseq", "--fairseq-python", FAIRSEQ_PYTHON)
    for more in ((), fairseq):
        done = run_command("verify", MLM, folder, *options, *more)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        (logits,) = (check for check in report["checks"] if check["name"] == "logits")
        assert report["compute_dtype"] == "float32" and 1e-8 < logits["max_abs_diff"] < logits["tolerance"] < 1e-4
    golden = tmp_path / "golden.npz"
    assert run_command("record", MLM, golden, "--bpe-dir", BPE).returncode == 0
    refused = run_command("verify", folder, "--golden", golden, "--compute", "float32")
    assert (refused.returncode, "--compute" in refused.stderr) == (2, True)
