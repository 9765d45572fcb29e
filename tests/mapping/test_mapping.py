"""Rule tables: complete, one to one, and invertible to the source's bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.checkpoints import load_trusted, save_edited
from helpers.paths import CONVERTIBLE, FIXTURES, MLM
from prenorm import convert
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.rules.apply import apply_layout
from prenorm.rules.rows import as_moved
from prenorm.rules.rules import Rename, Split, match
from prenorm.source.contents import model_tensors
from prenorm.source.layouts import LAYER


def test_patterns_match_whole_keys_only() -> None:
    assert match(LAYER + "fc1.{p}", "encoder.sentence_encoder.layers.11.fc1.bias") == {"n": "11", "p": "bias"}
    assert match(LAYER + "fc1.{p}", "encoder.sentence_encoder.layers.11.fc1.bias.x") is None
    assert match(LAYER + "fc1.{p}", "encoder.sentence_encoder.layers.x.fc1.bias") is None
    assert match("a.b", "a-b") is None


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_every_tensor_is_accounted_for(name: str) -> None:
    prepared = prepare(open_checkpoint(FIXTURES / name / "checkpoint.pt"), SourceOptions())
    moved = {row.source for row in prepared.plan.rows if row.source}
    dropped = {item.source for item in prepared.plan.dropped}
    assert moved | dropped == set(prepared.tensors)
    assert not moved & dropped
    assert len({row.target for row in prepared.plan.rows}) == len(prepared.plan.rows)
    assert all(item.reason for item in prepared.plan.dropped)


def test_two_tensors_for_one_name_are_a_problem() -> None:
    tensor = model_tensors(open_checkpoint(MLM))["encoder.lm_head.bias"]
    rules = (Rename("old.{p}", ("new.{p}",)),)
    _, _, problems = apply_layout(rules, as_moved({"old.bias": tensor, "new.bias": tensor}))
    assert problems == ["'new.bias' and 'old.bias' would both become 'new.bias'"]


def test_uneven_stack_is_a_problem() -> None:
    tensor = model_tensors(open_checkpoint(MLM))["encoder.lm_head.bias"].narrow(0, 432)
    _, _, problems = apply_layout((Split("qkv", ("q", "k", "v", "w", "x")),), as_moved({"qkv": tensor}))
    assert problems == ["'qkv' has 432 rows, which do not divide into 5 parts"]


def test_untied_head_is_kept_apart(tmp_path: Path) -> None:
    def untie(content: dict[str, Any]) -> None:
        content["model"]["encoder.lm_head.weight"] = content["model"]["encoder.lm_head.weight"] * 2
        content["cfg"]["model"].untie_weights_roberta = True

    path = save_edited(tmp_path / "untied.pt", untie)
    result = convert(path, tmp_path / "out", bpe_dir=FIXTURES / "gpt2_bpe")
    assert result.report.passed
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(stored["lm_head.decoder.weight"][:433], load_trusted(path)["model"]["encoder.lm_head.weight"])
    assert torch.equal(stored["lm_head.decoder.bias"], stored["lm_head.bias"])
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False
    from transformers import AutoModelForMaskedLM

    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    assert torch.equal(model.lm_head.decoder.weight, stored["lm_head.decoder.weight"])


def test_head_stored_twice_is_tied_by_its_bytes(tmp_path: Path) -> None:
    def copy(content: dict[str, dict[str, torch.Tensor]]) -> None:
        content["model"]["encoder.lm_head.weight"] = content["model"]["encoder.lm_head.weight"].clone()

    result = convert(save_edited(tmp_path / "copied.pt", copy), tmp_path / "out")
    assert result.plan.description.tied
    dropped = next(row for row in result.report.tensors if row.source == "encoder.lm_head.weight")
    assert dropped.equal is True


@pytest.mark.parametrize("name", ["dinkytrain-mlm", "dinkytrain-classification", "dinkytrain-no-embedding-norm"])
def test_parameters_are_counted_as_transformers_counts_them(name: str) -> None:
    import transformers

    plan = prepare(open_checkpoint(FIXTURES / name / "checkpoint.pt"), SourceOptions()).plan
    facts = {key: value for key, value in plan.config.items() if key not in ("architectures", "auto_map")}
    with torch.device("meta"):
        model = getattr(transformers, plan.architecture)(transformers.AutoConfig.for_model(**facts))
    assert model.num_parameters() == plan.parameters
