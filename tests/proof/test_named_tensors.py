"""A tensor that differs is named with what it is nearest to, before every symptom, by each way to judge and in every form."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.commands import run_main
from helpers.judged_table import FAULTS, FC1, KEY, LAYER, QUERY, SOURCE, Fault, Sound, converted
from helpers.paths import BPE
from prenorm import verify
from prenorm.reports import render
from prenorm.reports.model import Report

pytestmark = pytest.mark.slow

OWN = "encoder.sentence_encoder.layers."
# What is wrong, by fault: the tensors in the order in which they are computed with, and what each is nearest to.
NAMED: dict[str, dict[str, str]] = {
    "another layer's": {KEY: f"holds layer 0's key weight ('{OWN}0.self_attn.k_proj.weight')"},
    "swapped": {
        QUERY: f"is swapped with layer 1's key weight ('{OWN}1.self_attn.k_proj.weight')",
        KEY: f"is swapped with layer 1's query weight ('{OWN}1.self_attn.q_proj.weight')",
    },
    "transposed": {KEY: "is transposed"},
    "rolled": {FC1: "holds its rows rolled by 1"},
    "scaled": {FC1: "is scaled by 0.125"},
}
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound.make(tmp_path_factory.mktemp("named"))


def planted(fault: Fault, sound: Sound, scratch: Path) -> Path:
    folder = Path(shutil.copytree(sound.folder, scratch / "folder"))
    fault.plant(folder)
    return folder


def check(report: Report, named: dict[str, str]) -> None:
    assert not report.passed
    differing = report.different_tensors or ()
    assert {item.target: item.nearest for item in differing} == {
        f"{LAYER}1.{part}": words for part, words in named.items()
    }
    assert [item.target for item in differing] == [f"{LAYER}1.{part}" for part in named]
    unequal = {row.target for row in report.tensors if row.equal is False}
    assert unequal == {f"{LAYER}1.{part}" for part in named}
    assert report.diagnosis is not None and report.diagnosis.rule is not None
    assert any(f"{LAYER}1.{part}" in report.diagnosis.rule for part in named)  # the one that differs, and no neighbour


@pytest.mark.parametrize("name", NAMED)
def test_convert_names_it(name: str, tmp_path: Path) -> None:
    check(converted(BY_NAME[name], tmp_path), NAMED[name])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", NAMED)
def test_verify_names_it_first_in_every_form(
    name: str, sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = planted(BY_NAME[name], sound, tmp_path)
    report = verify(SOURCE, folder, bpe_dir=BPE)
    check(report, NAMED[name])
    cause = next(iter(NAMED[name].values())).split(" (")[0].replace("'s ", "s ").partition("'")[0]
    symptom = "numbers: logits differ by"
    for form in (".md", ".html", ".xml"):
        text = render(report, form).replace("&#39;s ", "s ").replace("'s ", "s ")
        assert 0 <= text.index(cause) < text.index(symptom), form
    assert run_main(monkeypatch, "verify", SOURCE, folder, "--bpe-dir", BPE) == 1
    lines = capsys.readouterr().out.strip().splitlines()
    shown = "\n".join(lines).replace("'s ", "s ")
    assert lines[0] == lines[-1] == "Verdict: failed"
    assert shown.index(cause) < shown.index("logits") < shown.index(symptom)


@pytest.mark.parametrize("name", NAMED)
def test_a_golden_file_names_the_tensor_and_what_it_knows_by_its_digest(
    name: str, sound: Sound, tmp_path: Path
) -> None:
    report = verify(planted(BY_NAME[name], sound, tmp_path), golden=sound.golden)
    differing = report.different_tensors or ()
    assert [item.target for item in differing] == [f"{LAYER}1.{part}" for part in NAMED[name]]
    others = {
        "another layer's": ["0.attention.self.key"],
        "swapped": ["1.attention.self.key", "1.attention.self.query"],
    }
    known = [f"{LAYER}{part}.weight" for part in others.get(name, [])]
    assert [
        item.nearest is not None and other in item.nearest for item, other in zip(differing, known, strict=False)
    ] == [True] * len(known)
