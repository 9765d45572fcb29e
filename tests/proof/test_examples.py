"""What the report shows and does not judge: the answers of a masked LM, and how far the other form of GELU is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

import prenorm_model
from helpers.paths import BPE, FIXTURES
from helpers.report_cases import render, synthetic
from prenorm.commands.assemble import write_folder
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import ProofOptions, SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.progress import Silent
from prenorm.proof.by_checkpoint import open_basis
from prenorm.proof.prove import JudgedFolder
from prenorm.proof.runtimes import BUNDLED, open_runtime
from prenorm.reports import read
from prenorm.reports.details import Example
from prenorm.reports.sentences import activation_sentences

FRANCE = "The capital of France is <mask>."
TOKENIZED = FIXTURES / "tokenizers"


def written(folder: Path, source: Path, **options: Any) -> Prepared:
    prepared = prepare(open_checkpoint(source / "checkpoint.pt"), SourceOptions(**options))
    write_folder(prepared, folder, allow_nonfinite=False, progress=Silent())
    return prepared


def examples(folder: Path, prepared: Prepared) -> list[Example]:
    plan = prepared.plan
    runtime = open_runtime(BUNDLED, folder, plan.target, plan.task.kind)
    with open_basis(prepared, None, ProofOptions()) as basis:
        return basis.examples(JudgedFolder.staged(folder, plan), runtime)


def test_three_answers_are_those_of_the_model_itself(tmp_path: Path) -> None:
    prepared = written(tmp_path, FIXTURES / "dinkytrain-mlm", bpe_dir=BPE)
    (example,) = examples(tmp_path, prepared)
    assert example.text == FRANCE
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = torch.tensor([tokenizer.encode(FRANCE).ids])
    model = prenorm_model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path).double()
    with torch.no_grad():
        logits = model(ids).logits[0, ids[0] == tokenizer.token_to_id("<mask>")][0]
    best = logits.softmax(-1).topk(3)
    assert [item.probability for item in example.answers] == [round(float(value), 3) for value in best.values]
    assert [item.token for item in example.answers] == [
        tokenizer.decode([row], skip_special_tokens=False).strip() for row in best.indices.tolist()
    ]
    assert examples(tmp_path, prepared) == [example]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("words", {"words": True}),
        ("sentencepiece-bpe", {"sentencepiece": TOKENIZED / "sentencepiece-bpe" / "sentencepiece.model"}),
        ("sentencepiece-unigram", {"sentencepiece": TOKENIZED / "sentencepiece-unigram" / "sentencepiece.model"}),
    ],
)
def test_every_kind_of_tokenizer_gets_a_sentence_that_it_knows(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    (example,) = examples(tmp_path, written(tmp_path, TOKENIZED / name, **options))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode(example.text).ids
    assert tokenizer.token_to_id("<unk>") not in ids
    assert ids.count(tokenizer.token_to_id("<mask>")) == 1
    assert len(example.answers) == 3


@pytest.mark.parametrize("content", [None, "{}", '{"not": "a tokenizer"}'])
def test_without_a_tokenizer_that_can_be_read_there_is_no_answer(content: str | None, tmp_path: Path) -> None:
    prepared = written(tmp_path, FIXTURES / "dinkytrain-mlm", bpe_dir=BPE)
    path = tmp_path / "tokenizer.json"
    path.unlink() if content is None else path.write_text(content)
    assert examples(tmp_path, prepared) == []


def test_other_tasks_and_folders_without_a_tokenizer_get_none(tmp_path: Path) -> None:
    assert examples(tmp_path, written(tmp_path, FIXTURES / "dinkytrain-mlm")) == []
    (tmp_path / "encoder").mkdir()
    encoder = written(tmp_path / "encoder", FIXTURES / "dinkytrain-mlm", bpe_dir=BPE, task="encoder")
    assert examples(tmp_path / "encoder", encoder) == []


def other_activation(folder: Path, source: Path, **options: Any) -> dict[str, Any] | None:
    prepared = written(folder, source, **options)
    with open_basis(prepared, None, ProofOptions()) as basis:
        return basis.other_activation(JudgedFolder.staged(folder, prepared.plan))


def test_the_other_form_of_gelu_is_measured_from_both_sides(tmp_path: Path) -> None:
    kernels = FIXTURES / "dinkytrain-deepspeed-fp16"
    measured: list[dict[str, Any]] = []
    for activation, other in (("gelu", "gelu_new"), ("gelu_new", "gelu")):
        (tmp_path / activation).mkdir()
        distance = other_activation(tmp_path / activation, kernels, activation=activation)
        assert distance is not None
        assert (distance["activation"], distance["other"]) == (activation, other)
        measured.append(distance)
    assert measured[0]["max_abs_diff"] == pytest.approx(measured[1]["max_abs_diff"], rel=1e-9)
    assert 1e-5 < measured[0]["max_abs_diff"] < 1e-2
    assert 0 < measured[0]["kl_mean"] < 1e-6
    (tmp_path / "plain").mkdir()
    assert other_activation(tmp_path / "plain", FIXTURES / "dinkytrain-mlm") is None


SHOWN = {
    "examples": [
        {"text": FRANCE, "answers": [{"token": "Paris", "probability": 0.5}, {"token": "|", "probability": 0.012}]}
    ],
    "other_activation": {"activation": "gelu", "other": "gelu_new", "max_abs_diff": 8.3e-4, "kl_mean": 3.4e-9},
}


def test_the_sentences_say_which_form_it_is_how_far_and_which_option() -> None:
    assert activation_sentences(read(synthetic())) == []
    first, second = activation_sentences(read({**synthetic(), **SHOWN}))
    assert first == "This folder computes the exact GELU (gelu), and parity is about that."
    assert second == (
        "With GELU in its tanh form (gelu_new) instead, the logits differ by up to 8.3e-04, KL divergence 3.4e-09 nats on "
        "average on the probe; --activation gelu_new converts to it."
    )


@pytest.mark.parametrize("suffix", [".md", ".html", ".xml", ".json"])
def test_every_form_shows_both(suffix: str) -> None:
    text, without = render({**synthetic(), **SHOWN}, suffix), render(synthetic(), suffix)
    for part in ("Paris", "gelu_new"):
        assert part in text.replace("\\_", "_")
        assert part not in without


def test_they_are_read_and_written_as_they_are() -> None:
    content = read({**synthetic(), **SHOWN}).to_dict()
    assert {key: content[key] for key in SHOWN} == SHOWN
    assert not SHOWN.keys() & read(synthetic()).to_dict().keys()
