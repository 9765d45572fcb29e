"""`verify` on folders with tensors too many, too few, misshaped or twice: each is named, and what can be computed is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from helpers.commands import run_command
from helpers.paths import MLM
from prenorm import convert, record, verify
from prenorm.reports import render
from prenorm.reports.facts import parity_rows
from prenorm.reports.model import Report

pytestmark = pytest.mark.slow

BODY = "roberta_prelayernorm."
BIAS = BODY + "encoder.layer.0.output.dense.bias"
WEIGHT = BODY + "encoder.layer.1.intermediate.dense.weight"
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(MLM, tmp_path_factory.mktemp("clean") / "masked-lm").output


def spoiled(clean: Path, folder: Path, change: Callable[[Tensors], object]) -> Path:
    shutil.copytree(clean, folder)
    tensors = {name: tensor.clone() for name, tensor in load_file(clean / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def passed(report: Report) -> dict[str, bool]:
    return {check.name: check.passed for check in report.checks}


def numbers(report: Report) -> list[str]:
    return [text for text in report.disagreements if text.startswith("numbers")]


SURPLUS = (
    # what transformers' converter wrote before its pull request 20305: a norm that nothing uses
    BODY + "encoder.layer.0.attention.output.LayerNorm.weight",
    BODY + "encoder.layer.9.output.dense.bias",
    "lm_head.extra",
    "surprise",
    "embeddings.word_embeddings.weight",  # beside the same with its prefix
)


@pytest.mark.parametrize("runtime", ["bundled", "transformers"])
def test_surplus_tensors_are_named_and_the_rest_is_computed(clean: Path, tmp_path: Path, runtime: str) -> None:
    # transformers would take the last one, which lacks the prefix, for the tensor itself
    surplus = SURPLUS if runtime == "bundled" else SURPLUS[:-1]
    folder = spoiled(
        clean, tmp_path / "out", lambda tensors: tensors.update({name: torch.ones(48) for name in surplus})
    )
    report = verify(MLM, folder, runtime=runtime)
    assert not report.passed
    assert list(report.disagreements) == [
        f"weights: target tensor '{name}' is in the files and was not planned" for name in sorted(surplus)
    ]
    suffix = "" if runtime == "bundled" else " (transformers)"
    assert report.check("logits" + suffix).metrics["max_abs_diff"] < 1e-12
    assert report.check("modules" + suffix).passed
    assert not report.check("tensors").passed
    compared = report.check("tensors").metrics["compared_bit_by_bit"]
    row = next(row for row in parity_rows(report) if row[0] == "tensors")
    assert row[1] == report.check("tensors").finding == f"0 of {compared} differ in a bit, {len(surplus)} surplus"
    for form in (".md", ".html", ".xml"):
        assert f"differ in a bit, {len(surplus)} surplus" in render(report, form)


def test_the_command_names_the_surplus_tensor_and_has_numbers(clean: Path, tmp_path: Path) -> None:
    folder = spoiled(clean, tmp_path / "out", lambda tensors: tensors.update({SURPLUS[0]: torch.ones(48)}))
    done = run_command("verify", MLM, folder)
    text = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert f"'{SURPLUS[0]}'" in text
    assert "logits │ " in text
    assert "cannot be computed" not in text
    assert text.index(f"Cause: target tensor '{SURPLUS[0]}' is in the files") < text.index("logits │ ")


def test_a_golden_file_names_it_and_has_numbers_too(clean: Path, tmp_path: Path) -> None:
    record(MLM, tmp_path / "golden.npz")
    folder = spoiled(clean, tmp_path / "out", lambda tensors: tensors.update(surprise=torch.ones(3)))
    report = verify(folder, golden=tmp_path / "golden.npz")
    assert list(report.disagreements) == ["weights: target tensor 'surprise' is in the files and was not recorded"]
    assert report.check("tensors").finding.endswith(" differ in a bit, 1 surplus")
    assert passed(report) == {"config": True, "logits": True, "modules": True, "tensors": False} | {
        name: True for name in passed(report) if name.startswith(("tokenizer", "other files"))
    }


def drop_head(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("lm_head.")]:
        del tensors[name]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop(WEIGHT), f"missing: {WEIGHT}, shape [96, 48]"),
        (lambda tensors: tensors.update({BIAS: torch.zeros(5)}), f"mismatched: {BIAS} is [5] in the file, [48] in the model"),
        (
            lambda tensors: [tensors.pop(WEIGHT), tensors.update({BIAS: torch.zeros(5), "surprise": torch.zeros(2)})],
            f"mismatched: {BIAS} is [5] in the file, [48] in the model; missing: {WEIGHT}, shape [96, 48]",
        ),
        (drop_head, "its files have no 'lm_head.bias'"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_says_why_in_a_whole_sentence(
    change: Callable[[Tensors], Any], reason: str, clean: Path, tmp_path: Path
) -> None:
    report = verify(MLM, spoiled(clean, tmp_path / "out", change))
    (sentence,) = numbers(report)
    assert sentence.startswith("numbers: the folder cannot be computed: ")
    assert sentence.endswith(reason)
    assert "unexpected" not in sentence
    assert any(text.startswith("weights: ") for text in report.disagreements)
    missing = sum("is not in the files" in text for text in report.problems)
    surplus = sum("was not planned" in text for text in report.problems)
    found = [f"{number} {name}" for number, name in ((surplus, "surplus"), (missing, "missing")) if number]
    assert report.check("tensors").finding.split(", ")[1:] == found


def test_many_faults_are_cut_and_counted(clean: Path, tmp_path: Path) -> None:
    folder = spoiled(clean, tmp_path / "out", lambda tensors: [tensors.pop(name) for name in sorted(tensors)[:20]])
    (sentence,) = numbers(verify(MLM, folder))
    assert "; and " in sentence
    assert sentence.endswith(" more")


def test_transformers_names_what_is_misshaped(clean: Path, tmp_path: Path) -> None:
    folder = spoiled(clean, tmp_path / "out", lambda tensors: tensors.update({BIAS: torch.zeros(5)}))
    (sentence,) = numbers(verify(MLM, folder, runtime="transformers"))
    assert BIAS in sentence
    assert "does not load whole" in sentence


@pytest.mark.parametrize("runtime", ["bundled", "transformers"])
@pytest.mark.parametrize(
    "raw", [b"", b"x\n", b"\xff" * 64, (1 << 40).to_bytes(8, "little") + b"{}", b"\x02" + bytes(7) + b"[]"]
)
@pytest.mark.parametrize("name", ["adapter_model.safetensors", ".hidden.safetensors", "model.safetensors"])
def test_a_damaged_file_is_named_and_fails(name: str, raw: bytes, runtime: str, clean: Path, tmp_path: Path) -> None:
    folder = spoiled(clean, tmp_path / "out", lambda tensors: None)
    (folder / name).write_bytes(raw)
    report = verify(MLM, folder, runtime=runtime)
    assert not report.passed
    assert any(text.startswith(f"{name} cannot be read: ") for text in report.disagreements)
    suffix = "" if runtime == "bundled" else " (transformers)"
    if name == "model.safetensors":
        assert report.check("tensors").metrics["missing"] == 60
        assert len(numbers(report)) == 1
    else:
        assert report.check("logits" + suffix).metrics["max_abs_diff"] < 1e-12


@pytest.mark.parametrize("name", ["a.safetensors", "zz.safetensors"])
def test_a_tensor_in_two_files_is_named_and_the_model_is_computed_as_it_loads(
    name: str, clean: Path, tmp_path: Path
) -> None:
    folder = spoiled(clean, tmp_path / "out", lambda tensors: None)
    save_file({BIAS: torch.ones(48)}, folder / name)
    report = verify(MLM, folder)
    assert not report.passed
    both = " and in ".join(sorted([name, "model.safetensors"]))
    assert f"tensor '{BIAS}' is in {both}" in report.disagreements
    assert report.check("logits").metrics["max_abs_diff"] < 1e-12
