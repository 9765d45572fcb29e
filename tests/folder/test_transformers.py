"""The folders in the users' own runtime: transformers loads them whole and computes what fairseq recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, pipeline

from helpers.paths import ARCHITECTURES, BPE, CONVERTIBLE, FIXTURES, SCRIPTS
from helpers.workers import run_old_transformers
from prenorm import convert

pytestmark = pytest.mark.slow

Folder = Callable[[str], Path]


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_logits_are_those_that_fairseq_recorded(name: str, converted: Folder) -> None:
    model, info = AutoModelForMaskedLM.from_pretrained(
        converted(name), output_loading_info=True, dtype=torch.float32, trust_remote_code=False
    )
    assert not any(info.values()), info
    assert type(model).__name__ == ARCHITECTURES[name]
    expected = np.load(FIXTURES / name / "expected.npz")
    input_ids = torch.from_numpy(expected["input_ids"])
    real = input_ids != 1
    with torch.inference_mode():
        logits = model.eval()(input_ids, attention_mask=real.long()).logits
    recorded = torch.from_numpy(expected["logits"])
    assert (logits[..., : recorded.shape[-1]][real] - recorded[real]).abs().max() <= 1e-5


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_extra_rows_never_win_and_take_no_probability(name: str, converted: Folder) -> None:
    model = AutoModelForMaskedLM.from_pretrained(converted(name), dtype=torch.float32).eval()
    rows = np.load(FIXTURES / name / "expected.npz")["logits"].shape[-1]
    assert model.config.vocab_size == rows + 5
    with torch.inference_mode():
        ids = torch.tensor([[0, 40, 432, 77, 2]])
        probabilities = model(ids).logits.softmax(-1)
        as_unknown = model(torch.tensor([[0, 40, 3, 77, 2]])).logits
        as_extra = [model(torch.tensor([[0, 40, row, 77, 2]])).logits for row in range(rows, rows + 5)]
    assert float(probabilities[..., rows:].max()) == 0.0
    assert all(torch.equal(logits, as_unknown) for logits in as_extra)


def test_config_says_what_fairseq_computes(converted: Folder) -> None:
    config = json.loads((converted("dinkytrain-mlm") / "config.json").read_text())
    stated = {
        key: config[key] for key in ("model_type", "layer_norm_eps", "max_position_embeddings", "type_vocab_size")
    }
    assert stated == {
        "model_type": "roberta-prelayernorm",
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 130,
        "type_vocab_size": 1,
    }
    assert config["architectures"] == ["RobertaPreLayerNormForMaskedLM"]
    assert (config["dtype"], config["tie_word_embeddings"], config["pad_token_id"]) == ("float32", True, 1)


def test_half_precision_is_kept(converted: Folder) -> None:
    model = AutoModelForMaskedLM.from_pretrained(converted("dinkytrain-deepspeed-fp16"), dtype="auto")
    assert model.dtype == torch.float16


def test_text_classification_runs_with_the_labels(tmp_path: Path) -> None:
    source = FIXTURES / "dinkytrain-classification"
    convert(source / "checkpoint.pt", tmp_path / "out", bpe_dir=BPE, label_dict=source / "label_dict.txt")
    classify = pipeline("text-classification", model=str(tmp_path / "out"), tokenizer=str(tmp_path / "out"), top_k=None)
    scores = classify(["You may copy it.", "The GNU General Public License"])
    assert [{item["label"] for item in answer} for answer in scores] == [{"0", "1", "2"}] * 2
    assert all(abs(sum(item["score"] for item in answer) - 1) < 1e-5 for answer in scores)
    encoder = AutoModel.from_pretrained(tmp_path / "out", add_pooling_layer=False)
    expected = np.load(source / "expected.npz")
    ids = torch.from_numpy(expected["input_ids"])
    with torch.inference_mode():
        features = encoder.eval()(ids, attention_mask=(ids != 1).long()).last_hidden_state
    assert (features - torch.from_numpy(expected["features"]))[ids != 1].abs().max() <= 1e-5


def test_encoder_folder_has_the_tokenizer_and_its_rows(tmp_path: Path) -> None:
    convert(FIXTURES / "dinkytrain-mlm" / "checkpoint.pt", tmp_path / "out", bpe_dir=BPE, task="encoder")
    model, info = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True, add_pooling_layer=False)
    assert not any(info.values())
    table = model.embeddings.word_embeddings.weight
    assert table.shape == (438, 48)
    assert torch.equal(table[433:], table[3].expand(5, -1))
    assert len(AutoTokenizer.from_pretrained(tmp_path / "out")) == 438


def test_fill_mask_runs_and_fills(converted: Folder) -> None:
    folder = converted("dinkytrain-mlm")
    fill = pipeline("fill-mask", model=str(folder), tokenizer=str(folder))
    best = fill("The GNU General Public <mask> does not permit")
    assert len(best) == 5
    assert best[0]["score"] > best[-1]["score"] > 0
    assert all(answer["token"] < 433 for answer in best)


def test_auto_tokenizer_gives_the_recorded_ids_and_texts(converted: Folder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted("dinkytrain-mlm"))
    for case in json.loads((FIXTURES / "tokenization.json").read_text()):
        ids = [row if row < 433 else 3 for row in tokenizer(case["text"])["input_ids"]]
        assert ids == case["ids"]
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        assert decoded == f"<s>{case['decoded']}</s>"


def test_auto_tokenizer_knows_its_special_tokens_and_pairs(converted: Folder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted("dinkytrain-mlm"))
    assert tokenizer.model_max_length == 128
    assert [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id] == [
        0,
        1,
        2,
        3,
    ]
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id) == (0, 2, 432)
    assert tokenizer("you", "may")["input_ids"] == [
        0,
        *tokenizer("you")["input_ids"][1:-1],
        2,
        2,
        *tokenizer("may")["input_ids"][1:],
    ]
    masked = tokenizer("you may <mask> it")["input_ids"]
    assert masked == [*tokenizer("you may")["input_ids"][:-1], 432, *tokenizer(" it")["input_ids"][1:]]
    batch = tokenizer(["you may", "you"], padding=True)
    assert batch["attention_mask"] == [
        [1] * len(batch["input_ids"][0]),
        [1] * 3 + [0] * (len(batch["input_ids"][0]) - 3),
    ]


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_folders_load_in_transformers_4_too(name: str, converted: Folder) -> None:
    cases = json.loads((FIXTURES / "tokenization.json").read_text())
    script = SCRIPTS / "old_transformers_folder.py"
    expected = FIXTURES / name / "expected.npz"
    found = run_old_transformers(script, converted(name), expected, stdin=[case["text"] for case in cases])
    assert found["version"].startswith("4.57")
    assert found["class"] == ARCHITECTURES[name]
    assert not any(found["loading"].values()), found["loading"]
    assert found["apart"] <= 1e-5
    assert [[row if row < 433 else 3 for row in ids] for ids in found["ids"]] == [case["ids"] for case in cases]
