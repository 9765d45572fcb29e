"""`verify` in the model's Keras and Flax classes: what is sound passes, and faults of the models are killed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from helpers.commands import run_command
from helpers.kill_table import RUNTIMES, SOURCES, TABLE, VARIANTS, parse_models
from prenorm.commands.verify import verify
from prenorm.errors import UsageProblem
from prenorm.mapping.targets import TARGETS
from prenorm.options import TaskKind
from prenorm.proof import runtimes
from prenorm.proof.probe import build_probe
from prenorm.proof.runtimes import open_runtime
from prenorm.proof.runtimes.observed import ObservedModel
from prenorm.reports import render

pytestmark = pytest.mark.slow

each = pytest.mark.parametrize("runtime", RUNTIMES)
NAMES = {"tensorflow": r"tensorflow \d[\d.]* \(keras \d[\d.]*\)", "flax": r"flax \d[\d.]* \(jax \d[\d.]*\)"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    from helpers.runtime_faults import sound_folders

    return sound_folders(tmp_path_factory.mktemp("sound"))


@each
def test_what_is_sound_passes_and_every_fault_of_the_model_is_killed(
    runtime: str, folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers.runtime_faults import cells_of, judged, quickly_compiled

    ways: list[bool] = []  # of every output within the encoder, whether pads were left out
    padded = ObservedModel._padded

    def noting(self: ObservedModel, values: Any) -> Any:
        ways.append(values.reshape(-1, values.shape[-1]).shape[0] < self._real.size)
        return padded(self, values)

    monkeypatch.setattr(ObservedModel, "_padded", noting)
    for kind, folder in folders.items():
        ways.clear()
        with quickly_compiled():
            report = judged(kind, folder, runtime)
        assert report.passed and report.divergence is None
        assert re.fullmatch(NAMES[runtime], report.runtimes[0])
        for name in ("logits", "modules"):
            metrics = report.check(f"{name} ({runtime})").metrics
            assert 0 < metrics["max_abs_diff"] < 1e-14 * metrics["range"]  # no type below float64 comes near
        assert sum(ways) == len(ways) // 3 > 0  # of the probe's three batches one
    found = cells_of(runtime, folders)
    assert all(found.values())
    assert found == {key: row[runtime] for key, row in parse_models(TABLE).items()}


def test_all_is_every_runtime_in_every_form_of_report(folders: Mapping[str, Path]) -> None:
    from helpers.runtime_faults import judged, quickly_compiled

    with quickly_compiled():
        report = judged("masked-lm", folders["masked-lm"], "all")
    assert [name.partition(" ")[0] for name in report.runtimes] == ["bundled", "transformers", "tensorflow", "flax"]
    assert report.passed
    for suffix in (".json", ".md", ".html", ".xml"):
        text = render(report, suffix)
        for name in ("transformers", "tensorflow", "flax"):
            assert f"logits ({name})" in text and f"modules ({name})" in text
            assert report.runtimes[("bundled", "transformers", "tensorflow", "flax").index(name)] in text


def keep_parts(kept: list[Any], stage: str, parts: Mapping[str, Any]) -> None:
    kept += parts.values()


@each
def test_it_computes_in_float32_too_and_leaves_the_settings_as_they_were(
    runtime: str, folders: Mapping[str, Path]
) -> None:
    import jax
    import keras

    from helpers.runtime_faults import quickly_compiled

    def settings() -> list[object]:
        policy = keras.config.dtype_policy().name, keras.config.is_traceback_filtering_enabled()
        return [jax.config.jax_enable_x64, jax.config.jax_default_device, policy, dict(os.environ)]

    before = settings()
    batch = build_probe(20, 22)[2].numpy()
    for compute in ("float32", "float64"):
        model = open_runtime(runtime, folders["masked-lm"], TARGETS[0], TaskKind.MASKED_LM, compute)
        parts: list[Any] = []
        with quickly_compiled():
            result = model.run(batch, (batch != 1).astype(np.int64), partial(keep_parts, parts))
        types = [part.dtype.name for part in parts]
        assert {*types, result.dtype.name} == {compute}
        assert len(types) == 2 * 7 + 2
    assert settings() == before


def test_in_a_process_of_its_own_it_is_tensorflow_whatever_keras_is_set_to(
    folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    source = VARIANTS / SOURCES["masked-lm"][0] / "checkpoint.pt"
    done = run_command("verify", source, folders["masked-lm"], "--runtime", "tensorflow")
    assert done.returncode == 0, done.stderr
    assert "logits (tensorflow)" in done.stdout
    assert "oneDNN" not in done.stderr and "cuda" not in done.stderr


@pytest.mark.parametrize("runtime", [*RUNTIMES, "all"])
def test_what_is_not_installed_is_named_before_anything_is_computed(
    runtime: str, folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "RUNTIMES", {})  # whatever is opened fails
    for module in ("keras", "h5py", "jax"):
        monkeypatch.setitem(sys.modules, module, None)
    sentences = {
        "tensorflow": 'runtime="tensorflow" needs keras and h5py, which are not installed',
        "flax": 'runtime="flax" needs jax, which is not installed',
        "all": 'runtime="tensorflow" and runtime="flax" need keras, h5py and jax, which are not installed',
    }
    with pytest.raises(UsageProblem) as caught:
        verify(VARIANTS / "activation-gelu" / "checkpoint.pt", folders["masked-lm"], runtime=runtime)
    extra = {"all": "tensorflow,flax"}.get(runtime, runtime)
    assert caught.value.cause == sentences[runtime]
    assert caught.value.advice == f'Install it, in the clone of prenorm: pip install ".[{extra}]"'


def test_keras_on_another_backend_is_refused(folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UsageProblem, match="on Keras' TensorFlow backend, and Keras is at work on jax in this process"):
        open_runtime("tensorflow", folders["masked-lm"], TARGETS[0], TaskKind.MASKED_LM)


def test_a_jax_without_the_cpu_is_refused(folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    def refuse(backend: str) -> None:
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", refuse)
    with pytest.raises(UsageProblem, match=r"JAX_PLATFORMS: .* computes on the CPU, which JAX may not use here"):
        open_runtime("flax", folders["masked-lm"], TARGETS[0], TaskKind.MASKED_LM)


@each
def test_an_architecture_without_a_class_is_refused(runtime: str, folders: Mapping[str, Path]) -> None:
    modules = {name: places for name, places in TARGETS[0].modules.items() if name != runtime}
    with pytest.raises(
        UsageProblem, match=f"{runtime}.* has no model of the architecture roberta-prelayernorm. Choose"
    ):
        open_runtime(runtime, folders["masked-lm"], replace(TARGETS[0], modules=modules), TaskKind.MASKED_LM)


@each
def test_a_head_that_the_folder_lacks_is_not_made_up(runtime: str, folders: Mapping[str, Path], tmp_path: Path) -> None:

    headless = shutil.copytree(folders["masked-lm"], tmp_path / "headless")
    tensors = load_file(headless / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("lm_head.")}
    save_file(kept, headless / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"does not load whole \(missing_keys: lm_head\.bias"):
        open_runtime(runtime, headless, TARGETS[0], TaskKind.MASKED_LM)
    # Flax gives it a pooler all the same, which no stage needs.
    model = open_runtime(runtime, headless, TARGETS[0], TaskKind.ENCODER)
    assert model.name.startswith(runtime)
