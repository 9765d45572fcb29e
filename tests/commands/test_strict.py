"""`strict`: what passed, and left something unjudged that counts, is a failure of the command and of the Python function."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.checkpoints import save_edited
from helpers.commands import run_main
from helpers.judged_table import HEAVY, SOURCE
from helpers.paths import BPE
from prenorm import NotJudged, NotProven, ParityFailed, convert, record, verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(SOURCE, tmp_path_factory.mktemp("sound") / "sound", bpe_dir=BPE, strict=True).output


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The checkpoint without its dict.txt, so that nothing judges a tokenizer."""
    return Path(shutil.copy(SOURCE, tmp_path))


def test_verify_raises_with_the_report_and_what_to_give(sound: Path, alone: Path) -> None:
    report = verify(alone, sound)
    assert report.passed
    with pytest.raises(NotJudged) as caught:
        verify(alone, sound, strict=True)
    error = caught.value
    assert isinstance(error, NotProven) and not isinstance(error, ParityFailed)
    assert error.exit_code == 1
    assert error.report == report
    assert error.subject == str(sound)
    assert error.problems == (
        "tokenizer: there is no dictionary to hold it against; give fairseq's dict.txt with --dict",
    )
    assert verify(SOURCE, sound, strict=True).verdict == "passed"


def test_a_folder_that_fails_is_reported_as_without_it(sound: Path, alone: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "folder"))
    (folder / "tokenizer.json").write_text('{"not": "a tokenizer"}')
    assert not verify(SOURCE, folder, strict=True).passed


def code(folder: Path) -> None:
    (folder / "modeling_own.py").write_text("raise SystemExit\n")


def weights(folder: Path) -> None:
    (folder / "tf_model.h5").write_bytes(b"any")


@pytest.mark.parametrize(("plant", "part"), [(code, "code"), (weights, "other weights")])
def test_every_part_and_every_way_to_judge(
    plant: Callable[[Path], None], part: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prenorm import fitness

    real = fitness.judge_folder
    monkeypatch.setattr(fitness, "judge_folder", lambda published: real(published, without=HEAVY))
    record(SOURCE, tmp_path / "golden.npz", bpe_dir=BPE)
    assert verify(sound, golden=tmp_path / "golden.npz", strict=True).verdict == "passed"
    assert verify(sound, folder_only=True, strict=True).passed
    folder = Path(shutil.copytree(sound, tmp_path / "folder"))
    plant(folder)
    with pytest.raises(NotJudged, match=f"{part}: "):
        verify(SOURCE, folder, strict=True)
    with pytest.raises(NotJudged, match=f"{part}: "):
        verify(folder, golden=tmp_path / "golden.npz", strict=True)
    if part == "code":  # a trial finds code by itself
        assert not verify(folder, folder_only=True, strict=True).passed
    else:
        with pytest.raises(NotJudged, match=f"{part}: "):
            verify(folder, folder_only=True, strict=True)


def test_convert_writes_nothing_then(tmp_path: Path) -> None:
    with pytest.raises(NotJudged, match=r"tokenizer: the folder has no tokenizer\.json") as caught:
        convert(SOURCE, tmp_path / "out", strict=True)
    assert caught.value.report is not None and caught.value.report.passed
    assert not (tmp_path / "out").exists()
    assert (
        "--strict" not in (convert(SOURCE, tmp_path / "out", bpe_dir=BPE, strict=True).output / "README.md").read_text()
    )


def test_values_that_agreement_says_nothing_about_are_unjudged(tmp_path: Path) -> None:
    source = save_edited(
        tmp_path / "checkpoint.pt", lambda content: content["model"]["encoder.lm_head.bias"][9:12].fill_(float("nan"))
    )
    assert not convert(source, tmp_path / "out", bpe_dir=BPE, allow_nonfinite=True).report.judged
    with pytest.raises(NotJudged, match="logits: some values are NaN or infinite"):
        convert(source, tmp_path / "strict", bpe_dir=BPE, allow_nonfinite=True, strict=True)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("form", [(), ("--quiet",), ("--json",)])
def test_the_command_shows_the_judgement_and_then_why_it_is_not_enough(
    form: tuple[str, ...], sound: Path, alone: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    written = tmp_path / "report.json"
    assert run_main(monkeypatch, "verify", alone, sound, "--strict", "--report", written, *form) == 1
    shown = capsys.readouterr()
    assert shown.err.count("Error:") == 1
    assert "give fairseq's dict.txt with --dict" in " ".join(shown.err.split())
    assert json.loads(written.read_text())["verdict"] == "passed, tokenizer not judged"
    if form == ("--json",):
        assert json.loads(shown.out) == json.loads(written.read_text())
    else:
        assert ("Verdict: passed, tokenizer not judged" in shown.out) is (form == ())
    assert run_main(monkeypatch, "convert", SOURCE, tmp_path / "out", "--strict", *form) == 1
    assert "so it was not written" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
