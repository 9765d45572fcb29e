"""The bundled model by itself: against transformers, and through its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaPreLayerNormConfig as TheirConfig
from transformers import RobertaPreLayerNormForMaskedLM as TheirMaskedLM

from model import RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM

SMALL = {
    "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
    "max_position_embeddings": 20, "type_vocab_size": 2,
}  # fmt: skip


@pytest.mark.parametrize("tied", [True, False])
def test_masked_lm_computes_what_transformers_computes(tied: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours = RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**SMALL, tie_word_embeddings=tied)).double().eval()
    theirs = TheirMaskedLM(TheirConfig(**SMALL, tie_word_embeddings=tied)).double().eval()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3)
    theirs.load_state_dict(ours.state_dict())
    ids = torch.randint(2, 50, (3, 12))
    ids[1, 7:] = 1
    types = torch.randint(0, 2, (3, 12))
    mask = ids.ne(1).long()
    with torch.no_grad():
        mine, other = ours(ids, mask, types).logits, theirs(ids, attention_mask=mask, token_type_ids=types).logits
    assert (mine - other)[mask.bool()].abs().max() < 1e-10


def test_save_and_load_give_the_same_bits(tmp_path: Path, converted: Callable[[str], Path]) -> None:
    folder = converted("dinkytrain-mlm")
    model = RobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    model.save_pretrained(tmp_path)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads((folder / "config.json").read_text())
    again = RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    ids = torch.tensor([[0, 5, 9, 2]])
    assert torch.equal(model(ids).logits, again(ids).logits)
    assert again.lm_head.decoder.weight is again.roberta_prelayernorm.embeddings.word_embeddings.weight


def test_loading_lists_every_key_that_does_not_fit(tmp_path: Path, converted: Callable[[str], Path]) -> None:
    folder = converted("dinkytrain-mlm")
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.dense.bias"]
    tensors["surprise"] = torch.zeros(3)
    tensors["lm_head.bias"] = torch.zeros(7)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ValueError, match="does not fit") as caught:
        RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)
    for said in (
        "missing: lm_head.dense.bias, shape [48]",
        "unexpected: surprise, shape [3]",
        "[7] in the file, [438]",
    ):
        assert said in str(caught.value)


def test_config_names_every_problem_at_once() -> None:
    with pytest.raises(ValueError, match="cannot work") as caught:
        RobertaPreLayerNormConfig(vocab_size=0, hidden_act="swoosh", hidden_dropout_prob=2.0)
    for said in ("vocab_size is 0", "hidden_act is 'swoosh'", "hidden_dropout_prob is 2.0"):
        assert said in str(caught.value)
    with pytest.raises(ValueError, match="num_attention_heads=5 does not divide hidden_size=24"):
        RobertaPreLayerNormConfig(**{**SMALL, "num_attention_heads": 5})


def test_config_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    values = {**SMALL, "model_type": "roberta-prelayernorm", "somebody": {"else": [1, 2]}}
    (tmp_path / "config.json").write_text(json.dumps(values))
    RobertaPreLayerNormConfig.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()).items() >= values.items()
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    with pytest.raises(ValueError, match="model_type 'roberta'"):
        RobertaPreLayerNormConfig.from_pretrained(tmp_path)


def test_model_imports_nothing_it_must_not() -> None:
    import ast

    import model

    allowed = {"torch", "safetensors", "huggingface_hub", "numpy", "model", "__future__"}
    for path in Path(str(model.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            import sys

            for name in names:
                top = name.partition(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, (path.name, name)
