"""Faults planted one by one: each must make `convert` exit 1 and leave no folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import prenorm_model.torch.embeddings
import prenorm_model.torch.heads
import prenorm_model.torch.modeling
from helpers.checkpoints import save_edited
from helpers.commands import run_main
from helpers.paths import BPE, FIXTURES, MLM
from helpers.planted_faults import Plant, configure, edit_plan, lose, patch, rename, rewrite
from prenorm.commands import convert as pipeline
from prenorm.mapping import understood
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.reports import ParityFailed
from prenorm_model.torch.activations import gelu_tanh

LAYER = "roberta_prelayernorm.encoder.layer."
EMBEDDINGS = "roberta_prelayernorm.embeddings."


def set_row(row: int, value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor[row] = value
        return tensor

    return change


def one_percent(tensor: Tensor) -> Tensor:
    tensor[3, 5] *= 1.01
    return tensor


def no_final_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model passes its final norm over."""
    real = prenorm_model.torch.modeling.RobertaPreLayerNormModel.__init__

    def wrong(self: prenorm_model.torch.modeling.RobertaPreLayerNormModel, *args: object, **options: object) -> None:
        real(self, *args, **options)  # type: ignore[arg-type]
        self.LayerNorm.forward = lambda x: x  # type: ignore[method-assign]

    monkeypatch.setattr(prenorm_model.torch.modeling.RobertaPreLayerNormModel, "__init__", wrong)


def shifted(input_ids: Tensor, pad_token_id: int, past: int = 0) -> Tensor:
    real = input_ids.ne(pad_token_id)
    return (real.cumsum(dim=1) - 1) * real + pad_token_id


FAULTS: dict[str, Plant] = {
    "layer_norm_eps 1e-12": configure(layer_norm_eps=1e-12),
    "tanh GELU": configure(hidden_act="gelu_new"),
    "tanh GELU in the LM head": patch(prenorm_model.torch.heads, "gelu", gelu_tanh),
    "final norm lost": no_final_norm,
    "final norm's weights lost": rewrite("roberta_prelayernorm.LayerNorm.weight", torch.ones_like),
    "q and k swapped in one layer": rename({f"{LAYER}1.attention.self.query": f"{LAYER}1.attention.self.key"}),
    "positions shifted by one": patch(prenorm_model.torch.embeddings, "positions_from_ids", shifted),
    "position rows shifted by one": rewrite(f"{EMBEDDINGS}position_embeddings.weight", lambda t: t.roll(1, 0)),
    "two layers swapped": rename({f"{LAYER}0.": f"{LAYER}2."}),
    "the two norms of a layer swapped": rename({f"{LAYER}1.attention.LayerNorm": f"{LAYER}1.intermediate.LayerNorm"}),
    "one embedding row zeroed": rewrite(f"{EMBEDDINGS}word_embeddings.weight", set_row(200, 0.0)),
    "last position row zeroed": rewrite(f"{EMBEDDINGS}position_embeddings.weight", set_row(129, 0.0)),
    "token-type row non-zero": rewrite(f"{EMBEDDINGS}token_type_embeddings.weight", set_row(0, 1e-3)),
    "one weight changed by 1 %": rewrite(f"{LAYER}1.intermediate.dense.weight", one_percent),
    "heads 4 -> 2": configure(num_attention_heads=2),
    "out_proj transposed": rewrite(f"{LAYER}0.attention.output.dense.weight", torch.t),
    "float16 round trip": rewrite(".*", lambda t: t.half().float()),
    "extra rows left free to win": rewrite("lm_head.bias", lambda t: t.clamp(min=-10.0)),
    "one tensor not written": edit_plan(
        lambda row: replace(row, target="lm_head.lost") if row.target == "lm_head.bias" else row
    ),
}


def check_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plant: Plant) -> None:
    plant(monkeypatch)
    output = tmp_path / "out"
    assert run_main(monkeypatch, "convert", MLM, output, "--bpe-dir", BPE, "--quiet") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_caught(monkeypatch, tmp_path, FAULTS[name])


def all_biases() -> list[str]:
    prepared = understood.prepare(open_checkpoint(MLM), SourceOptions())
    return [row.target for row in prepared.plan.rows if row.target.endswith("bias")]


@pytest.mark.slow
@pytest.mark.parametrize("name", all_biases())
def test_lost_bias_is_caught(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every bias, the key bias too, which cancels in the softmax and never shows in a logit."""
    check_caught(monkeypatch, tmp_path, lose(name))


def test_lost_key_bias_is_seen_by_the_modules_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:

    lose(f"{LAYER}1.attention.self.key.bias")(monkeypatch)
    with pytest.raises(ParityFailed) as caught:
        pipeline.convert(MLM, tmp_path / "out", bpe_dir=BPE)
    assert caught.value.report is not None
    outcome = {check.name: check.passed for check in caught.value.report.checks}
    assert outcome["logits"]
    assert not outcome["modules"]
    assert caught.value.report.first_divergence == f"{LAYER}1.attention.self.key"


def test_without_a_fault_it_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run_main(monkeypatch, "convert", MLM, tmp_path / "out", "--bpe-dir", BPE, "--quiet") == 0
    assert (tmp_path / "out" / "config.json").exists()


@pytest.mark.slow
def test_an_untied_heads_second_bias_is_proven_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """transformers computes an untied head with `lm_head.decoder.bias`; a fault in it must not hide behind `lm_head.bias`."""

    def untie(content: dict[str, Any]) -> None:
        content["model"]["encoder.lm_head.weight"] = content["model"]["encoder.lm_head.weight"] * 2
        content["cfg"]["model"].untie_weights_roberta = True

    path = save_edited(tmp_path / "untied.pt", untie)
    lose("lm_head.decoder.bias")(monkeypatch)
    with pytest.raises(ParityFailed) as caught:
        pipeline.convert(path, tmp_path / "out")
    assert caught.value.report is not None
    assert not caught.value.report.check("logits").passed
    assert not (tmp_path / "out").exists()


XL = "roberta.encoder.layer."
XL_FAULTS: dict[str, Plant] = {
    "layer_norm_eps 1e-12": FAULTS["layer_norm_eps 1e-12"],
    "the two norms of a layer swapped": rename({f"{XL}1.attention.self_attn_layer_norm": f"{XL}1.LayerNorm"}),
    "final norm's weights lost": rewrite("roberta.encoder.LayerNorm.weight", torch.ones_like),
    "key bias lost": lose(f"{XL}2.attention.self.key.bias"),
    "one embedding row zeroed": rewrite("roberta.embeddings.word_embeddings.weight", set_row(200, 0.0)),
    # The config claims the architecture with a norm after the embeddings, for which there are no weights.
    "a norm after the embeddings": configure(model_type="roberta-prelayernorm"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", XL_FAULTS)
def test_fault_is_caught_without_embedding_norm(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    XL_FAULTS[name](monkeypatch)
    source = FIXTURES / "dinkytrain-no-embedding-norm" / "checkpoint.pt"
    assert run_main(monkeypatch, "convert", source, tmp_path / "out", "--bpe-dir", BPE, "--quiet") == 1
    assert list(tmp_path.iterdir()) == []
