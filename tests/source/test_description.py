"""Where arguments may be, and what the description makes of tensors and arguments."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import save_edited
from helpers.paths import FIXTURES, MLM
from prenorm import convert, inspect
from prenorm.errors import NotRepresentable
from prenorm.source.training import Producer

Content = dict[str, Any]


def as_args(content: Content) -> None:
    content["args"], content["cfg"] = content["cfg"]["model"], None


def as_dictionary(content: Content) -> None:
    content["cfg"]["model"] = vars(content["cfg"]["model"])


@pytest.mark.parametrize(
    ("edit", "origin"),
    [
        (lambda content: None, "cfg['model'], a Namespace"),
        (as_dictionary, "cfg['model'], a dictionary"),
        (as_args, "args, a Namespace"),
    ],
)
def test_arguments_are_found_wherever_fairseq_put_them(edit: Any, origin: str, tmp_path: Path) -> None:
    found = inspect(save_edited(tmp_path / "c.pt", edit))
    assert found.description is not None
    assert found.description.arguments_from == origin
    assert (found.description.attention_heads, found.description.activation) == (4, "gelu")
    assert found.description.training["mask_prob"] == 0.4
    assert found.description.training["num_updates"] == 312


def test_sizes_come_from_the_tensors() -> None:
    found = inspect(MLM).description
    assert found is not None
    sizes = (found.vocab_size, found.hidden_size, found.layers, found.ffn_size, found.positions.rows)
    assert sizes == (433, 48, 3, 96, 130)


def test_legacy_stream_converts_to_the_same_weights(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "old.pt", as_args, _use_new_zipfile_serialization=False)
    convert(path, tmp_path / "old")
    convert(MLM, tmp_path / "new")
    old, new = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("old", "new"))
    assert old == new


def test_a_gap_in_the_layers_is_damage(tmp_path: Path) -> None:
    def drop_layer(content: Content) -> None:
        content["model"] = {key: value for key, value in content["model"].items() if ".layers.1." not in key}

    found = inspect(save_edited(tmp_path / "c.pt", drop_layer))
    assert found.refusal_code == 4
    assert "layers.1' is missing" in str(found.refusal)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["roberta.embeddings.word_embeddings.weight"], "Hugging Face model already"),
        (["encoder.layers.0.fc1.weight", "decoder.layers.0.encoder_attn.k_proj.weight"], "encoder-decoder"),
        (["decoder.layers.0.self_attn.k_proj.weight"], "decoder-only"),
        (["feature_extractor.conv_layers.0.0.weight", "encoder.layers.0.fc1.weight"], "wav2vec"),
        (["something.else"], "no fairseq RoBERTa"),
    ],
)
def test_other_models_are_told_what_they_seem_to_be(keys: list[str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"model": {key: torch.zeros(2, 2) for key in keys}, "args": Namespace()}, path)
    with pytest.raises(NotRepresentable, match=said) as caught:
        convert(path, tmp_path / "out")
    assert keys[0] in str(caught.value) or keys[-1] in str(caught.value)


def test_a_bare_state_dict_is_told_apart(tmp_path: Path) -> None:
    torch.save({"roberta.embeddings.word_embeddings.weight": torch.zeros(2, 2)}, tmp_path / "pytorch_model.bin")
    found = inspect(tmp_path / "pytorch_model.bin")
    assert (found.refusal_code, len(found.tensors)) == (3, 1)
    assert "Hugging Face model already" in str(found.refusal)


def test_the_advice_for_a_post_layernorm_model_is_true() -> None:
    """No transformers of today has the script; the advice says which had, and that prenorm has no way yet."""
    refusal = inspect(FIXTURES / "fairseq-0.10.2-postnorm" / "checkpoint.pt").refusal
    assert refusal is not None
    assert "prenorm does not convert post-LayerNorm models yet" in refusal
    assert "transformers up to 4.47 shipped a script" in refusal
    assert "convert_roberta_original_pytorch_checkpoint_to_pytorch.py" in refusal
    assert "transformers' own script" not in refusal


def test_which_program_wrote_a_file_is_told_by_its_keys() -> None:
    expected = {
        "dinkytrain-mlm": Producer.DINKYTRAIN,
        "dinkytrain-deepspeed-fp16": Producer.DINKYTRAIN_DEEPSPEED,
        "fairseq-0.12.2-hydra": Producer.FAIRSEQ_012,
    }
    for name, producer in expected.items():
        inspection = inspect(FIXTURES / name / "checkpoint.pt")
        assert inspection.description is not None
        assert inspection.description.producer is producer
        assert inspection.description.deepspeed_kernels == (producer is Producer.DINKYTRAIN_DEEPSPEED)
        assert json.loads(json.dumps(inspection.to_dict()))["description"]["producer"] == producer.value
