"""What is no RoBERTa that a target holds, told by the names of its tensors, in one sentence with true advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import save_edited
from helpers.paths import FIXTURES
from prenorm import inspect

Content = dict[str, Any]
FIELD = FIXTURES / "field"
ENCODER = "encoder.sentence_encoder."


def refusal(path: Path, code: int = 3) -> str:
    found = inspect(path)
    assert found.refusal_code == code, found.refusal
    return str(found.refusal)


@pytest.mark.parametrize(
    ("name", "tensor"), [("feed-forward", "layers.0.fc1.centroids"), ("whole", "embed_tokens.centroids")]
)
def test_product_quantization_of_real_fairseq_is_named(name: str, tensor: str) -> None:
    said = refusal(FIELD / "08-product-quantized" / f"{name}.pt")
    assert f"'{ENCODER}{tensor}'" in said
    assert "product-quantized" in said
    assert "from before quantization" in said


@pytest.mark.parametrize(
    "module",
    [
        ENCODER + "embed_positions",
        ENCODER + "layers.2.self_attn.out_proj",
        "encoder.lm_head.dense",
        "classification_heads.topic.dense",
    ],
)
def test_product_quantization_of_any_part_is_named(module: str, tmp_path: Path) -> None:
    def quantize(content: Content) -> None:
        content["model"].pop(f"{module}.weight", None)
        content["model"] |= {
            f"{module}.centroids": torch.zeros(4, 8),
            f"{module}.assignments": torch.zeros(12, dtype=torch.int64),
            f"{module}.counts": torch.zeros(4),
        }

    said = refusal(save_edited(tmp_path / "c.pt", quantize))
    assert f"'{module}.centroids'" in said
    assert "product-quantized" in said


def test_language_adapters_of_real_fairseq_get_true_advice() -> None:
    said = refusal(FIELD / "other-models" / "xmod.pt")
    assert "adapter_modules.en_XX" in said
    assert "X-MOD" in said
    assert "model_type xmod" in said
    assert "plain RoBERTa" not in said


@pytest.mark.parametrize(
    ("name", "what", "advice"),
    [
        ("layers.0.adapter_layer_norm.weight", "X-MOD", "model_type xmod"),
        ("layers.1.adapters.task.down.weight", "adapters between their parts", "from before they were added"),
        ("layers.1.adapter.fc1.weight", "adapters between their parts", "from before they were added"),
        ("layers.1.output_adapters.x.up.bias", "adapters between their parts", "from before they were added"),
        ("layers.0.self_attn.q_proj.lora_A", "LoRA", "Add them to the weights"),
        ("layers.0.fc1.lora_B.default.weight", "LoRA", "Add them to the weights"),
    ],
)
def test_adapters_of_other_programs_get_advice_of_their_own(name: str, what: str, advice: str, tmp_path: Path) -> None:
    """Post-LayerNorm, too: these models must not be sent to a script for plain RoBERTa."""
    for norm in (True, False):

        def adapt(content: Content, *, norm: bool = norm) -> None:
            content["model"][ENCODER + name] = torch.zeros(8, 8)
            if not norm:
                del content["model"][ENCODER + "layer_norm.weight"], content["model"][ENCODER + "layer_norm.bias"]

        said = refusal(save_edited(tmp_path / "c.pt", adapt))
        assert f"'{ENCODER}{name}'" in said
        assert what in said
        assert advice in said


def test_an_encoder_decoder_of_real_fairseq_is_called_one() -> None:
    said = refusal(FIELD / "other-models" / "roberta-enc-dec.pt")
    assert "encoder-decoder" in said
    assert "\n" not in said


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    "names",
    [
        ["decoder.embed_tokens.weight", "decoder.layers.0.encoder_attn.k_proj.weight", "decoder.layers.0.fc1.weight"],
        ["decoder.version", "decoder.output_projection.weight"],
    ],
)
def test_a_decoder_beside_a_roberta_is_one_sentence(prefix: str, names: list[str], tmp_path: Path) -> None:
    def add_decoder(content: Content) -> None:
        tensors = content["model"] | {name: torch.zeros(2, 2) for name in names}
        content["model"] = {prefix + name: tensor for name, tensor in tensors.items()}

    said = refusal(save_edited(tmp_path / "c.pt", add_decoder))
    shown = next((name for name in names if "encoder_attn" in name), names[0])
    assert "encoder-decoder model, whose encoder is a RoBERTa" in said
    assert f"'{prefix}{shown}'" in said
    assert "\n" not in said


def test_a_roberta_within_something_larger_is_found_and_said(tmp_path: Path) -> None:
    def distill(content: Content) -> None:
        student = {f"student.{name}": tensor for name, tensor in content["model"].items()}
        content["model"] = {**student, "teacher.weight": torch.zeros(2)}

    said = refusal(save_edited(tmp_path / "c.pt", distill))
    assert "below 'student.', beside 1 other" in said
    assert "'teacher.weight'" in said
    assert "no fairseq RoBERTa" not in said
