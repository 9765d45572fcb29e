"""The tokenizer of a converted folder: in both transformers, refused where it does not fit, and judged by `verify`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.commands import run_main
from helpers.paths import OLD_TRANSFORMERS_PYTHON, SCRIPTS
from helpers.tokenizer_cases import KINDS, MODELS, UNIGRAM, encode, free_of_special_tokens, planned
from helpers.tokenizer_texts import TEXTS
from helpers.workers import run_worker
from prenorm import convert
from prenorm.commands.verify import verify
from prenorm.errors import UsageProblem

pytestmark = pytest.mark.slow

Folders = dict[str, Path]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """The folder of each kind, converted and proven."""
    base = tmp_path_factory.mktemp("tokenizers")
    found = {}
    for kind, (source, options, _, _) in KINDS.items():
        result = convert(source / "checkpoint.pt", base / kind, **options)
        assert result.report.passed
        assert result.report.check("tokenizer ids").metrics["wrong"] == 0
        found[kind] = result.output
    return found


@pytest.mark.parametrize("python", [sys.executable, OLD_TRANSFORMERS_PYTHON], ids=["5", "4.57"])
def test_auto_tokenizer_gives_the_same_in_both_transformers(python: Path, folders: Folders) -> None:
    texts = ["a", *free_of_special_tokens(TEXTS)]
    script = SCRIPTS / "auto_tokenizer.py"
    found = run_worker(Path(python), script, *folders.values(), stdin=texts)
    assert found["version"].startswith("5." if python == sys.executable else "4.57")
    for kind, seen in zip(folders, found["folders"], strict=True):
        source, options, _, _ = KINDS[kind]
        tokenization = planned(source / "dict.txt", **options)
        rows, mask = len(tokenization.dictionary), len(tokenization.dictionary) - 1
        known = [[row if row < rows else 3 for row in ids] for ids in seen["ids"]]
        assert known == encode(tokenization, texts)
        tokenizer = tokenization.build()
        assert seen["texts"] == [tokenizer.decode(ids[1:-1], skip_special_tokens=False) for ids in seen["ids"]]
        a, the = known[0][1:-1], encode(tokenization, ["the"])[0][1:-1]
        assert [row if row < rows else 3 for row in seen["pair"]] == [0, *a, 2, 2, *the, 2]
        assert seen["special"] == {"bos": 0, "pad": 1, "eos": 2, "unk": 3, "cls": 0, "sep": 2, "mask": mask}
        assert (seen["keys"], seen["padding_side"], seen["clean_up"]) == (
            ["attention_mask", "input_ids"],
            "right",
            False,
        )
        assert seen["model_max_length"] == longest_input(folders[kind])
        assert seen["rows"] == len(tokenization.vocabulary.tokens)


def longest_input(folder: Path) -> int:
    """Positions begin behind the pad's in both architectures: two of the table's rows are never a token's."""
    found: int = json.loads((folder / "config.json").read_text())["max_position_embeddings"] - 2
    return found


@pytest.mark.parametrize("kind", ["unigram", "bpe", "words"])
def test_folder_computes_what_fairseq_recorded(kind: str, folders: Folders) -> None:
    from transformers import AutoModelForMaskedLM

    model, info = AutoModelForMaskedLM.from_pretrained(folders[kind], output_loading_info=True, dtype=torch.float32)
    assert not any(info.values()), info
    expected = np.load(KINDS[kind][0] / "expected.npz")
    ids = torch.from_numpy(expected["input_ids"])
    with torch.inference_mode():
        logits = model.eval()(ids, attention_mask=(ids != 1).long()).logits
    recorded = torch.from_numpy(expected["logits"])
    assert (logits[..., : recorded.shape[-1]] - recorded)[ids != 1].abs().max() <= 1e-5
    assert model.config.vocab_size == len(planned(KINDS[kind][0] / "dict.txt", **KINDS[kind][1]).vocabulary.tokens)


def test_xlm_roberta_tokenizer_is_not_named_because_transformers_5_builds_another(folders: Folders) -> None:
    """It keeps the vocabulary and one charsmap; the generic class takes the file as it is."""
    from transformers import PreTrainedTokenizerFast, XLMRobertaTokenizer

    content = json.loads((folders["unigram"] / "tokenizer_config.json").read_text())
    assert content["tokenizer_class"] == "PreTrainedTokenizerFast"
    own, other = (kind.from_pretrained(folders["unigram"]) for kind in (PreTrainedTokenizerFast, XLMRobertaTokenizer))
    texts = free_of_special_tokens(TEXTS)
    wanted = planned(UNIGRAM / "dict.txt", **KINDS["unigram"][1]).build()
    wrong = [[wanted.encode(text).ids != kind(text)["input_ids"] for text in texts] for kind in (own, other)]
    assert sum(wrong[0]) == 0
    assert sum(wrong[1]) > 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("change", "said"), [(-3, "3 fewer than"), (2, "2 more than")])
def test_a_dictionary_that_does_not_fit_is_refused(kind: str, change: int, said: str, tmp_path: Path) -> None:
    source, options, _, _ = KINDS[kind]
    lines = (source / "dict.txt").read_text(encoding="utf-8").splitlines()
    lines = lines[:change] if change < 0 else [*lines, *(f"another{number} 1" for number in range(change))]
    (tmp_path / "dict.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with pytest.raises(UsageProblem, match=said):
        convert(source / "checkpoint.pt", tmp_path / "out", dictionary=tmp_path / "dict.txt", **options)
    assert not (tmp_path / "out").exists()


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """tokenizer.json says something else."""

    def plant(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return plant


def swap_pieces(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    vocabulary[20], vocabulary[21] = vocabulary[21], vocabulary[20]


def swap_rows(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    one, other = [token for token, row in vocabulary.items() if row in (20, 21)]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]


def without_step(kind: str) -> Callable[[dict[str, Any]], object]:
    """The first step of a kind is taken out of the normalizer."""

    def change(content: dict[str, Any]) -> None:
        steps = content["normalizer"]["normalizers"]
        steps.remove(next(step for step in steps if step["type"] == kind))

    return change


def other_score(content: dict[str, Any]) -> None:
    content["model"]["vocab"][30][1] -= 5.0


def whole_text(content: dict[str, Any]) -> None:
    content["pre_tokenizer"]["pretokenizers"][1]["prepend_scheme"] = "always"


FAULTS = (
    ("pieces swapped", "unigram", edit(swap_pieces)),
    ("a piece's score", "unigram", edit(other_score)),
    ("normalizer lost", "unigram", edit(lambda content: content.update(normalizer={"type": "Prepend", "prepend": "▁"}))),
    ("NFKC lost", "unigram", edit(without_step("NFKC"))),
    ("prefix lost", "unigram", edit(without_step("Prepend"))),
    ("prefix lost", "bpe", edit(without_step("Prepend"))),
    ("guard lost", "unigram", edit(without_step("Replace"))),
    ("decoder lost", "unigram", edit(lambda content: content.update(decoder=None))),
    ("merges cut", "bpe", edit(lambda content: content["model"].update(merges=content["model"]["merges"][:-40]))),
    ("merges reversed", "bpe", edit(lambda content: content["model"]["merges"].reverse())),
    ("merges cut", "gpt2", edit(lambda content: content["model"].update(merges=content["model"]["merges"][:-40]))),
    ("rows swapped", "bpe", edit(swap_rows)),
    ("rows swapped", "words", edit(swap_rows)),
    ("split at spaces only", "words", edit(lambda content: content["pre_tokenizer"].update(pattern={"String": " "}))),
    ("unknown runs apart", "unigram", edit(lambda content: content["normalizer"]["normalizers"].pop())),
    ("unknown runs apart", "bpe", edit(lambda content: content["normalizer"]["normalizers"].pop())),
    ("no frame", "unigram", edit(lambda content: content.update(post_processor=None))),
)  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "plant"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_verify_sees_a_tokenizers_fault(
    name: str, kind: str, plant: Callable[[Path], None], folders: Folders, tmp_path: Path
) -> None:
    shutil.copytree(folders[kind], tmp_path / "out")
    plant(tmp_path / "out")
    report = verify(KINDS[kind][0] / "checkpoint.pt", tmp_path / "out", **KINDS[kind][1])
    assert [check.name for check in report.checks if not check.passed] == ["tokenizer ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_verify_passes_a_sound_folder(kind: str, folders: Folders) -> None:
    report = verify(KINDS[kind][0] / "checkpoint.pt", folders[kind], **KINDS[kind][1])
    assert report.passed, report.disagreements


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no sentencepiece model"),
        (b"not a model", "is no sentencepiece model"),
        (b"\x0a\x05\x0a\x03abc\x12\x7f", "a field of 127 bytes"),
        (b"\x0a\x05\x0a\x01a\x18\x09", "the piece b'a' has score 0.0 and type 9"),
        (b"\x0a\x03\x0a\x01a\x0a\x03\x0a\x01a", "the piece 'a' twice"),
        (b"\x0a\x03\x0a\x01a", "0 pieces for the unknown"),
        (b"\x0a\x03\x0a\x01a\x0a\x05\x0a\x01?\x18\x02\x12\x02\x18\x03", "a model of type word"),
    ],
)
def test_a_damaged_or_other_model_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.model").write_bytes(content)
    with pytest.raises(UsageProblem, match=said):
        planned(UNIGRAM / "dict.txt", sentencepiece=tmp_path / "m.model")


def test_every_cut_of_a_model_is_refused_or_reads_as_another(tmp_path: Path) -> None:
    """No cut gives anything but a sentence."""
    content = MODELS[UNIGRAM].read_bytes()
    refused = 0
    for size in range(0, len(content), len(content) // 60):
        (tmp_path / "m.model").write_bytes(content[:size])
        try:
            planned(UNIGRAM / "dict.txt", sentencepiece=tmp_path / "m.model")
        except UsageProblem:
            refused += 1
    assert refused >= 50


def test_model_of_another_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="numbers of GPT-2's byte-level BPE, so it belongs to another tokenizer"):
        planned(KINDS["gpt2"][0] / "dict.txt", sentencepiece=MODELS[UNIGRAM])
    pieces = tmp_path / "dict.txt"
    pieces.write_text("".join(f"\u2581unseen{number} 1\n" for number in range(428)), encoding="utf-8")
    with pytest.raises(
        UsageProblem, match=r"only \d+ of the dictionary's 433 tokens are pieces of sentencepiece.model"
    ):
        planned(pieces, sentencepiece=MODELS[UNIGRAM])


def test_two_kinds_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--words", "--sentencepiece", MODELS[UNIGRAM]]
    assert run_main(monkeypatch, "convert", UNIGRAM / "checkpoint.pt", tmp_path / "out", *arguments) == 2
    assert "--words: has no effect with --sentencepiece: they are different tokenizers" in capsys.readouterr().err
