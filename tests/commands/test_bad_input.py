"""Bad input: the exit code, one sentence that says what to do, and nothing lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import save_edited
from helpers.commands import run_command, run_main
from helpers.paths import BPE, FIXTURES, MLM
from prenorm import inspect

Content = dict[str, Any]
FC1 = "encoder.sentence_encoder.layers.1.fc1.bias"


def edited(change: Callable[[Content], object]) -> Callable[[Path], Path]:
    return lambda folder: save_edited(folder / "bad.pt", change)


def written(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "bad.pt").write_bytes(content)
        return folder / "bad.pt"

    return make


def wrong_dictionary(folder: Path) -> Path:
    path = save_edited(folder / "bad.pt", lambda content: None)
    lines = (folder / "dict.txt").read_text().splitlines(keepends=True)
    (folder / "dict.txt").write_text("".join(lines[:-3]))
    return path


def no_heads(content: Content) -> None:
    del content["cfg"]["model"].encoder_attention_heads


def contradiction(content: Content) -> None:
    content["cfg"]["model"].encoder_ffn_embed_dim = 3072


def set_argument(name: str, value: object) -> Callable[[Path], Path]:
    return edited(lambda content: setattr(content["cfg"]["model"], name, value))


CASES: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "missing file": (lambda folder: folder / "none.pt", 2, "there is no such file"),
    "directory": (lambda folder: folder, 2, "is a directory"),
    "empty file": (written(b""), 4, "the file is empty"),
    "truncated zip": (written(MLM.read_bytes()[:500_000]), 4, "truncated or damaged"),
    "zip that is no checkpoint": (written((FIXTURES / "dinkytrain-mlm" / "expected.npz").read_bytes()), 4, "zip"),
    "text file": (written(b"epoch 1 loss 2.0\n"), 4, "text file"),
    "no model": (edited(lambda content: content.pop("model")), 4, "no dictionary 'model'"),
    "a checkpoint of PyTorch Lightning": (
        edited(lambda content: content.update(state_dict=content.pop("model"))),
        4,
        "its tensors are in 'state_dict', where",
    ),
    "missing tensor": (edited(lambda content: content["model"].pop(FC1)), 4, f"missing: '{FC1}'"),
    "wrong shape": (edited(lambda content: content["model"].update({FC1: torch.zeros(5)})), 4, "wrong shape: "),
    "unknown tensor": (edited(lambda content: content["model"].update(surprise=torch.zeros(5))), 3, "'surprise'"),
    "NaN": (edited(lambda content: content["model"][FC1].fill_(float("nan"))), 4, "--allow-nonfinite"),
    "infinity": (edited(lambda content: content["model"][FC1].fill_(float("inf"))), 4, f"'{FC1}'"),
    "heads nowhere": (edited(no_heads), 2, "--attention-heads"),
    "contradiction": (edited(contradiction), 4, "encoder_ffn_embed_dim=3072 in the arguments, 96 in the tensors"),
    "other activation": (set_argument("activation_fn", "relu"), 3, "activation_fn=relu"),
    "adaptive input": (set_argument("adaptive_input", True), 3, "adaptive_input=True"),
    "post-LN": (
        lambda folder: FIXTURES / "fairseq-0.10.2-postnorm" / "checkpoint.pt",
        3,
        "post-LayerNorm model, although",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_checkpoint(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, code, said = CASES[name]
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert run_main(monkeypatch, "convert", path, tmp_path / "out") == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("Error:") == 1
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("named", ["--words", "--dict"])
def test_a_dictionary_that_is_asked_for_has_to_fit(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wrong_dictionary(tmp_path)
    options = [named] if named == "--words" else [named, str(tmp_path / "dict.txt")]
    assert run_main(monkeypatch, "convert", path, tmp_path / "out", *options) == 2
    assert "3 fewer than the embedding's 433 rows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lines", [None, "a 1\n", "no count\n", "a 1\na 1\n", "\x00"])
def test_one_that_only_lies_there_is_warned_of(lines: str | None, tmp_path: Path) -> None:
    path = wrong_dictionary(tmp_path)
    if lines is not None:
        (tmp_path / "dict.txt").write_text(lines)
    found = inspect(path)
    assert found.refusal is None
    (text,) = [text for text in found.warnings if "beside the checkpoint is not used" in text]
    assert "dictionary" in text


def test_nonfinite_weights_convert_unjudged_when_that_is_wanted(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "nan.pt", lambda content: content["model"][FC1][:1].fill_(float("nan")))
    done = run_command("convert", path, tmp_path / "out", "--allow-nonfinite")
    assert done.returncode == 0, done.stderr
    assert "could not be judged" in done.stderr
    assert "not judged" in done.stdout
    assert '"passed": false' in (tmp_path / "out" / "parity_report.json").read_text()


@pytest.mark.slow
def test_existing_output_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "config.json").write_text("mine")
    done = run_command("convert", MLM, output)
    assert (done.returncode, (output / "config.json").read_text()) == (2, "mine")
    assert "--overwrite" in done.stderr
    assert run_command("convert", MLM, output, "--overwrite").returncode == 0
    assert "roberta-prelayernorm" in (output / "config.json").read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_overwrite_replaces_only_model_folders(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for target in (tmp_path, tmp_path / "thesis.txt"):
        done = run_command("convert", MLM, target, "--overwrite")
        assert done.returncode == 2
        assert "is not replaced" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_overwrite_never_takes_the_checkpoint_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = save_edited(folder / "checkpoint.pt", lambda content: None)
    (folder / "config.json").write_text("{}")
    done = run_command("convert", path, folder, "--overwrite")
    assert (done.returncode, path.exists()) == (2, True)
    assert "would be lost" in done.stderr


@pytest.mark.slow
def test_failed_overwrite_leaves_the_old_folder(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run_command("convert", MLM, output).returncode == 0
    before = {entry.name: entry.read_bytes() for entry in output.iterdir()}
    bad = save_edited(tmp_path / "nan.pt", lambda content: content["model"][FC1].fill_(float("nan")))
    assert run_command("convert", bad, output, "--overwrite").returncode == 4
    assert {entry.name: entry.read_bytes() for entry in output.iterdir()} == before


def test_parent_missing(tmp_path: Path) -> None:
    done = run_command("convert", MLM, tmp_path / "no" / "out")
    assert done.returncode == 2
    assert "Create" in done.stderr


def test_parent_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    parent = tmp_path / "fixed"
    parent.mkdir()
    if os.geteuid() == 0:  # root writes everywhere; let the system say what it would say to anybody else
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != parent)
    else:
        parent.chmod(0o555)
    assert run_main(monkeypatch, "convert", MLM, parent / "out") == 2
    assert "read-only" in capsys.readouterr().err
    assert list(parent.iterdir()) == []


@pytest.mark.slow
def test_bpe_without_dictionary(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "alone.pt", lambda content: None)
    (tmp_path / "dict.txt").unlink()
    done = run_command("convert", path, tmp_path / "out", "--bpe-dir", BPE)
    assert (done.returncode, "--dict" in done.stderr) == (2, True)
    done = run_command("convert", path, tmp_path / "out")
    assert done.returncode == 0
    assert "no tokenizer" in done.stderr
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert '"vocab_size": 433' in (tmp_path / "out" / "config.json").read_text()


@pytest.mark.slow
def test_attention_heads_can_be_given(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "bad.pt", no_heads)
    assert run_command("convert", path, tmp_path / "out", "--attention-heads", "4").returncode == 0
    done = run_command("convert", MLM, tmp_path / "other", "--attention-heads", "2")
    assert (done.returncode, "contradicts" in done.stderr) == (2, True)


@pytest.mark.slow
def test_activation_is_for_deepspeed_only(tmp_path: Path) -> None:
    done = run_command("convert", MLM, tmp_path / "out", "--activation", "gelu_new")
    assert (done.returncode, "DeepSpeed" in done.stderr) == (2, True)
    kernel = FIXTURES / "dinkytrain-deepspeed-fp16" / "checkpoint.pt"
    assert run_command("convert", kernel, tmp_path / "out", "--activation", "gelu_new").returncode == 0
    assert '"hidden_act": "gelu_new"' in (tmp_path / "out" / "config.json").read_text()


def test_unknown_option_is_usage(tmp_path: Path) -> None:
    done = run_command("convert", MLM, tmp_path / "out", "--nonsense")
    assert (done.returncode, "nonsense" in done.stderr) == (2, True)
