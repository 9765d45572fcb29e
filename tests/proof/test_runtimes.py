"""What answers the protocol of a runtime can be compared: a framework without hooks and without torch, too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.paths import MLM
from prenorm import convert
from prenorm.errors import UsageProblem
from prenorm.files import CONFIG_FILE
from prenorm.folder.digests import Digests
from prenorm.folder.published import open_published
from prenorm.mapping.targets import Target
from prenorm.mapping.understood import prepare
from prenorm.options import REFERENCES as REFERENCE_CHOICES
from prenorm.options import RUNTIMES as RUNTIME_CHOICES
from prenorm.options import ProofOptions, SourceOptions, TaskKind
from prenorm.parts import open_checkpoint
from prenorm.progress import Silent
from prenorm.proof.by_checkpoint import prove_by_checkpoint
from prenorm.proof.protocols import Array, Ids, OnStage, as_tensor
from prenorm.proof.prove import JudgedFolder
from prenorm.proof.references import REFERENCES
from prenorm.proof.runtimes import CHOICES, RUNTIMES
from prenorm.proof.runtimes.bundled import BundledRuntime
from prenorm.reports.model import Report

pytestmark = pytest.mark.slow


class NumpyRuntime:
    """A model that hands out arrays of numpy, stage by stage; `error` is added to one of them."""

    name = "numpy 0"
    error = 0.0

    def __init__(self, folder: Path, target: Target, task: TaskKind, compute: str) -> None:
        self._model = BundledRuntime(folder, target, task, compute)

    def run(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> Array:
        assert isinstance(input_ids, np.ndarray)
        assert isinstance(attention_mask, np.ndarray)

        def tell(stage: str, parts: Mapping[str, Array]) -> None:
            arrays = {name: part.numpy().copy() for name, part in parts.items()}
            if stage == "layers.1":
                arrays["fc1"] += self.error
            on_stage(stage, arrays)

        return self._model.run(input_ids, attention_mask, tell).numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(convert(MLM, tmp_path_factory.mktemp("runtimes") / "out").output)


def judged(folder: Path, scratch: Path, *runtimes: str, exhaustive: bool = False) -> Report:
    checkpoint = open_checkpoint(MLM)
    prepared = prepare(checkpoint, SourceOptions())
    published = JudgedFolder.opened(open_published(folder, scratch))
    with Digests(checkpoint) as digests:
        options = ProofOptions(exhaustive=exhaustive)
        report, _ = prove_by_checkpoint(prepared, published, options, digests, runtimes, progress=Silent())
    return report


def test_arrays_of_another_framework_are_compared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "numpy", NumpyRuntime)  # type: ignore[arg-type]
    report = judged(folder, tmp_path, "bundled", "numpy", exhaustive=True)
    assert report.passed
    assert tuple(report.runtimes) == ("bundled", "numpy 0")
    assert [check.name for check in report.checks] == [
        "config", "logits", "modules", "logits (numpy)", "modules (numpy)", "tensors",
    ]  # fmt: skip
    assert report.check("logits").metrics == report.check("logits (numpy)").metrics


def test_an_error_in_one_of_its_arrays_is_seen(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "numpy", NumpyRuntime)  # type: ignore[arg-type]
    monkeypatch.setattr(NumpyRuntime, "error", 1e-6)
    report = judged(folder, tmp_path, "bundled", "numpy")
    assert [check.name for check in report.checks if not check.passed] == ["modules (numpy)"]
    assert report.divergence is not None
    assert report.divergence.module == "roberta_prelayernorm.encoder.layer.1.intermediate.dense"


def test_a_folder_that_does_not_load_is_a_disagreement_of_its_runtime(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> NumpyRuntime:
        raise ValueError(f"no {CONFIG_FILE} for it")

    monkeypatch.setitem(RUNTIMES, "numpy", fails)  # type: ignore[arg-type]
    report = judged(folder, tmp_path, "bundled", "numpy")
    assert list(report.disagreements) == ["numbers (numpy): the folder cannot be computed: no config.json for it"]
    assert [check.name for check in report.checks if not check.passed] == ["logits (numpy)"]


def test_without_transformers_the_advice_is_what_installs_the_right_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageProblem, match=r'which is not installed.*pip install "\.\[fitness\]"'):
        judged(folder, tmp_path, "transformers")


def test_every_choice_of_the_command_line_is_one_of_the_registries() -> None:
    assert tuple(CHOICES) == RUNTIME_CHOICES
    assert {name for names in CHOICES.values() for name in names} == set(RUNTIMES)
    assert tuple(REFERENCES) == REFERENCE_CHOICES


def test_arrays_become_tensors() -> None:
    tensor = torch.ones(2, 3)
    assert as_tensor(tensor) is tensor
    constant = np.arange(6.0).reshape(2, 3)
    constant.flags.writeable = False
    assert torch.equal(as_tensor(constant), torch.arange(6.0, dtype=torch.float64).reshape(2, 3))
    assert as_tensor(constant.T).shape == (3, 2)
