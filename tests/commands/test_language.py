"""One fault, two readers: who typed a command is told its options, who called a function its keywords."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prenorm
from helpers.checkpoints import save_edited
from helpers.commands import run_main
from helpers.paths import BPE, FIXTURES, MLM
from prenorm.errors import PrenormError
from prenorm.options.language import Language, command_name, is_python, speaking
from prenorm.options.spoken import spoken

CLASSIFIER = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"
UNIGRAM = FIXTURES / "tokenizers" / "sentencepiece-unigram" / "checkpoint.pt"
RANKING, REGRESSION = (FIXTURES / "variants" / name / "checkpoint.pt" for name in ("sentence-ranking", "regression"))
Call = tuple[str, tuple[Any, ...], dict[str, Any]]


def no_heads(content: dict[str, Any]) -> None:
    del content["cfg"]["model"].encoder_attention_heads


def not_a_number(content: dict[str, Any]) -> None:
    content["model"]["encoder.sentence_encoder.layers.0.fc1.weight"].fill_(float("nan"))


def two_heads(content: dict[str, Any]) -> None:
    model, first = content["model"], "classification_heads.sentence_classification_head"
    model |= {key.replace(first, "classification_heads.topic"): value for key, value in model.items() if first in key}


def edited(folder: Path, edit: Callable[[dict[str, Any]], object], source: Path = MLM) -> Path:
    return save_edited(folder / "c.pt", edit, source)


def alone(folder: Path) -> Path:
    (folder / "alone.pt").write_bytes(MLM.read_bytes())
    return folder / "alone.pt"


# What is called, as Python calls it; what the command line says; what Python says.
CASES: dict[str, tuple[Callable[[Path], Call], str, str]] = {
    "output exists": (
        lambda folder: ("convert", (MLM, folder), {}),
        "Pass --overwrite to replace it, or choose another OUTPUT",
        "Pass overwrite=True to replace it, or choose another output",
    ),
    "NaN": (
        lambda folder: ("convert", (edited(folder, not_a_number), folder / "out"), {}),
        "pass --allow-nonfinite to convert",
        "pass allow_nonfinite=True to convert",
    ),
    "attention heads": (
        lambda folder: ("convert", (edited(folder, no_heads), folder / "out"), {}),
        "Give it with --attention-heads (",
        "Give it with attention_heads=... (",
    ),
    "other attention heads": (
        lambda folder: ("convert", (MLM, folder / "out"), {"attention_heads": 3}),
        "--attention-heads 3 contradicts",
        "attention_heads=3 contradicts",
    ),
    "which head": (
        lambda folder: ("convert", (edited(folder, two_heads, CLASSIFIER), folder / "out"), {}),
        "Choose one with --head",
        "Choose one with head=...",
    ),
    "no average": (
        lambda folder: ("convert", (MLM, folder / "out"), {"weights": "ema"}),
        "Leave --weights ema out",
        'Leave weights="ema" out',
    ),
    "no dictionary": (
        lambda folder: ("convert", (alone(folder), folder / "out"), {"words": True}),
        "--words needs fairseq's dictionary, and there is no dict.txt beside the checkpoint. Give it with --dict",
        "words=True needs fairseq's dictionary, and there is no dict.txt beside the checkpoint. Give it with dictionary=...",
    ),
    "another tokenizer": (
        lambda folder: ("convert", (UNIGRAM, folder / "out"), {"bpe_dir": BPE}),
        "than --bpe-dir makes. Give the sentencepiece model with --sentencepiece, or leave --bpe-dir out",
        "than bpe_dir makes. Give the sentencepiece model with sentencepiece=..., or leave bpe_dir out",
    ),
    "a revision of a folder": (
        lambda folder: ("verify", (MLM, FIXTURES), {"revision": "main"}),
        "--revision is for a repo on the Hub",
        "revision is for a repo on the Hub",
    ),
    "a folder of somebody else": (
        lambda folder: ("push", (folder, "org/name"), {}),
        "Push a folder that prenorm convert wrote",
        "Push a folder that prenorm.convert wrote",
    ),
    "fairseq is where": (
        lambda folder: ("record", (MLM, folder / "golden.npz"), {"reference": "fairseq"}),
        "--reference fairseq needs --fairseq-python",
        'reference="fairseq" needs fairseq_python=...',
    ),
    "labels of no classes": (
        lambda folder: ("convert", (MLM, folder / "out"), {"label_dict": MLM.parent / "dict.txt"}),
        "--label-dict is for classification heads",
        "label_dict is for classification heads",
    ),
    "labels of a choice": (
        lambda folder: ("convert", (RANKING, folder / "out"), {"label_dict": MLM.parent / "dict.txt"}),
        "--label-dict is for classification; a choice has no labels",
        "label_dict is for classification; a choice has no labels",
    ),
    "labels of numbers": (
        lambda folder: ("convert", (REGRESSION, folder / "out"), {"label_dict": MLM.parent / "dict.txt"}),
        "--label-dict is for classes; this head was trained on numbers",
        "label_dict is for classes; this head was trained on numbers",
    ),
    "the Hub asked in vain": (
        lambda folder: ("convert", (MLM, folder / "out"), {"retries": 3}),
        "--retries: has no effect: nothing here is asked of the Hub",
        "retries: has no effect: nothing here is asked of the Hub",
    ),
    "no choice": (
        lambda folder: ("inspect", (folder / "none.pt",), {"task": "translation"}),
        "--task",
        "task is 'translation', not one of",
    ),
}  # fmt: skip


def words(keywords: dict[str, Any]) -> list[str]:
    named = [(spoken(name), value) for name, value in keywords.items()]
    return [word for flag, value in named for word in ([flag] if value is True else [flag, str(value)])]


@pytest.mark.parametrize("case", CASES)
def test_each_reader_is_told_what_to_write(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, command_line, python = CASES[case]
    verb, arguments, keywords = make(tmp_path)
    with pytest.raises(PrenormError) as caught:
        getattr(prenorm, verb)(*arguments, **keywords)
    assert python in str(caught.value)
    assert not re.search(r"--[a-z]|\bOUTPUT\b|prenorm (convert|record)", str(caught.value).replace("--store-ema", ""))
    with speaking(Language.COMMAND_LINE):
        typed = [verb, *arguments, *words(keywords)]
    assert run_main(monkeypatch, *typed) == caught.value.exit_code
    told = " ".join(capsys.readouterr().err.split())
    assert command_line in told
    assert not re.search(r"\w=(True|\.\.\.|\")|prenorm\.(convert|record)", told)


def test_warnings_and_reasons_speak_the_same_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = prenorm.inspect(CLASSIFIER)
    assert any("with label_dict=..." in text for text in result.warnings)
    assert not any("--" in text for text in result.warnings)
    assert prenorm.inspect(CLASSIFIER, task="encoder").converts_to["chosen_because"] == 'task="encoder"'  # type: ignore[index]
    assert run_main(monkeypatch, "inspect", CLASSIFIER, "--task", "encoder") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "for encoder: --task encoder" in told
    assert run_main(monkeypatch, "inspect", CLASSIFIER) == 0
    assert "with --label-dict" in " ".join(capsys.readouterr().out.split())


def test_the_language_is_what_it_was_after_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_python()
    assert run_main(monkeypatch, "inspect", FIXTURES / "none.pt") == 2
    assert is_python()


@pytest.mark.parametrize(
    ("arguments", "typed", "called"),
    [
        (("task", "encoder"), "--task encoder", 'task="encoder"'),
        (("dictionary", ...), "--dict", "dictionary=..."),
        (("dictionary",), "--dict", "dictionary"),
        (("overwrite",), "--overwrite", "overwrite=True"),
        (("attention_heads", 3), "--attention-heads 3", "attention_heads=3"),
        (("repo_id",), "--push", "repo_id"),
        (("output",), "OUTPUT", "output"),
    ],
)
def test_a_name_in_both_languages(arguments: tuple[Any, ...], typed: str, called: str) -> None:
    assert spoken(*arguments) == called
    with speaking(Language.COMMAND_LINE):
        assert spoken(*arguments) == typed
    assert (command_name("verify"), is_python()) == ("prenorm.verify", True)
