"""Localization: where the numbers part, which rule made that tensor, and what it looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import prenorm_model.torch.embeddings
import prenorm_model.torch.modeling
from helpers.folder_faults import positions_from_pad
from helpers.paths import FIXTURES
from prenorm import convert
from prenorm.commands.verify import verify

pytestmark = pytest.mark.slow

SOURCE = FIXTURES / "dinkytrain-mlm" / "checkpoint.pt"
AT = "roberta_prelayernorm."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return convert(SOURCE, tmp_path / "out").output


@pytest.mark.parametrize(
    ("values", "module", "hint"),
    [
        ({"layer_norm_eps": 1e-12}, "embeddings", "layer_norm_eps is 1e-12; fairseq's is 1e-5"),
        (
            {"hidden_act": "gelu_new"},
            "encoder.layer.0.output.dense",
            "the activation is the tanh form of GELU, not gelu",
        ),
        ({"hidden_act": "relu"}, "encoder.layer.0.output.dense", "the activation is relu, not gelu"),
        ({"num_attention_heads": 2}, "encoder.layer.0.attention.output.dense", "attention has 2 heads, not 4"),
    ],
)
def test_a_wrong_config_is_named(folder: Path, values: dict[str, object], module: str, hint: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    found = verify(SOURCE, folder).divergence
    assert found is not None
    assert (found.module, found.hint) == (AT + module, hint)


@pytest.mark.parametrize(
    ("one", "other", "module", "hint"),
    [
        ("attention.self.query", "attention.self.key", "attention.self.query", "query and key are swapped"),
        ("attention.self.key", "attention.self.value", "attention.self.key", "key and value are swapped"),
        (
            "attention.LayerNorm",
            "intermediate.LayerNorm",
            "attention.self.query",
            "the two norms of a layer are swapped",
        ),
    ],
)
def test_swapped_parts_are_named_with_layer_and_rule(
    folder: Path, one: str, other: str, module: str, hint: str
) -> None:
    tensors = load_file(folder / "model.safetensors")
    at = f"{AT}encoder.layer.1."
    for part in ("weight", "bias"):
        first, second = f"{at}{one}.{part}", f"{at}{other}.{part}"
        tensors[first], tensors[second] = tensors[second].clone(), tensors[first].clone()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    found = verify(SOURCE, folder).divergence
    assert found is not None
    assert (found.module, found.hint) == (at + module, hint)
    assert found.rule is not None
    assert f"{at}{one}.weight" in found.rule
    assert found.rule.startswith("encoder.sentence_encoder.layers.1.self_attn")


def test_faults_of_the_model_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(prenorm_model.torch.embeddings, "positions_from_ids", positions_from_pad)
        found = verify(SOURCE, folder).divergence
    assert found is not None
    assert found.hint == "positions start one row too early: fairseq's first token has row pad + 1"
    monkeypatch.setattr(prenorm_model.torch.modeling, "encoder_mask", lambda mask, skip_full: None)
    ignored = verify(SOURCE, folder).divergence
    assert ignored is not None
    assert ignored.hint == "the attention mask is ignored, or inverted, so that pads are attended to"


def test_an_unknown_pattern_gets_no_hint(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[f"{AT}encoder.layer.2.intermediate.dense.weight"][3, 5] *= 1.01
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    found = verify(SOURCE, folder).divergence
    assert found is not None
    assert (found.module, found.hint) == (f"{AT}encoder.layer.2.intermediate.dense", None)
    assert found.rule is not None
    assert "layers.2.fc1.weight" in found.rule


def _heads(order: list[int]) -> torch.Tensor:
    """The rows of four heads of 12, in another order."""
    return torch.tensor([head * 12 + row for head in order for row in range(12)])


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(
    ("part", "order", "hint"),
    [
        (
            "attention.self.value",
            _heads([1, 0, 2, 3]),
            "attention heads are in another order: head 0 is the checkpoint's 1, head 1 is the checkpoint's 0",
        ),
        (
            "attention.self.query",
            torch.arange(48).index_put((torch.tensor([13, 20]),), torch.tensor([20, 13])),
            "the rows within attention head 1 are in another order",
        ),
        (
            "attention.self.key",
            torch.arange(48).roll(1),
            "rows are in another order, across attention heads: row 0 is the checkpoint's 47, row 1 is the checkpoint's 0, "
            "row 2 is the checkpoint's 1, row 3 is the checkpoint's 2, and 44 more",
        ),
        (
            "intermediate.dense",
            torch.arange(96).index_put((torch.tensor([3, 90]),), torch.tensor([90, 3])),
            "rows of this matrix are in another order: row 3 is the checkpoint's 90, row 90 is the checkpoint's 3",
        ),
    ],
)
def test_rows_in_another_order_are_named(
    folder: Path, part: str, order: torch.Tensor, hint: str, with_bias: bool
) -> None:
    tensors = load_file(folder / "model.safetensors")
    for kind in ("weight", "bias") if with_bias else ("weight",):
        name = f"{AT}encoder.layer.1.{part}.{kind}"
        tensors[name] = tensors[name][order].contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    found = verify(SOURCE, folder).divergence
    assert found is not None
    assert (found.module, found.hint) == (f"{AT}encoder.layer.1.{part}", hint)


def test_a_mistake_that_changes_nothing_at_the_divergence_is_no_hint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention that is rounded to float32 differs by less than a mistake may leave."""
    right = torch.nn.functional.scaled_dot_product_attention

    def rounded(*args: torch.Tensor, **options: Any) -> torch.Tensor:
        return right(*args, **options).float().double()

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", rounded)
    found = verify(SOURCE, folder).divergence
    assert found is not None
    assert (found.module, found.hint) == (f"{AT}encoder.layer.0.attention.output.dense", None)
