"""Under which names fairseq is given the tensors, which of them it uses, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.checkpoints import save_edited
from helpers.fairseq import AT, CLASSIFIER, DEEPSPEED, IDS, Run, own_reference, told, understood
from helpers.paths import MLM
from prenorm.proof.references.fairseq.process import FairseqRefused, FairseqWorker
from prenorm.proof.references.fairseq.reference import FairseqReference

pytestmark = pytest.mark.slow


def test_used_is_what_the_outputs_depend_on(worker: FairseqWorker) -> None:
    prepared = understood(CLASSIFIER)
    everything = set(prepared.tensors)
    lm_head = {name for name in everything if name.startswith("encoder.lm_head.")}
    head = {name for name in everything if name.startswith("classification_heads.")}
    assert len(lm_head) == 6
    assert len(head) == 4
    name = prepared.description.heads[0].name
    nowhere = {AT + "version"}
    assert FairseqReference(worker, told(prepared), logits=True, heads=[name]).used == everything - nowhere
    assert FairseqReference(worker, told(prepared), logits=False, heads=[name]).used == everything - nowhere - lm_head
    assert FairseqReference(worker, told(prepared), logits=True).used == everything - nowhere - head


def test_kernel_names_are_handed_over_as_canonical_ones_and_that_is_said(worker: FairseqWorker) -> None:
    prepared = understood(DEEPSPEED, activation="gelu_new")
    reference = FairseqReference(worker, told(prepared))
    assert reference.facts["names"] == "canonical"
    assert f"missing: '{AT}layers.0.self_attn.k_proj.weight'" in str(reference.facts["canonical_because"])
    assert reference.used == set(prepared.tensors) - {AT + "version"}
    found = dict(reference.stages(IDS))
    ours = own_reference(prepared)
    expected = dict(ours.stages(IDS))
    real = IDS != 1
    # The encoder's GELU is the tanh form, which casts nothing, and the LM head's is not.
    assert (found["layer_norm"]["out"] - expected["layer_norm"]["out"])[real].abs().max() < 1e-13
    apart = reference.logits(found["layer_norm"]["out"][real]) - ours.logits(expected["layer_norm"]["out"][real])
    assert 1e-9 < apart.abs().max() <= reference.measured["logits", "out"].rounding + 1e-13


def rename(*pairs: tuple[str, str]) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        for old, new in pairs:
            content["model"] = {key.replace(old, new): value for key, value in content["model"].items()}

    return edit


def pack(content: dict[str, Any]) -> None:
    model = content["model"]
    for n in range(3):
        for part in ("weight", "bias"):
            names = [f"{AT}layers.{n}.self_attn.{name}_proj.{part}" for name in "qkv"]
            model[f"{AT}layers.{n}.self_attn.in_proj_{part}"] = torch.cat([model.pop(name) for name in names])


def old_names(content: dict[str, Any]) -> None:
    pack(content)
    rename(
        ("self_attn_layer_norm", "layer_norms.0"), ("final_layer_norm", "layer_norms.1"),
        ("layernorm_embedding", "emb_layer_norm"), ("encoder.sentence_encoder.", "decoder.sentence_encoder."),
        ("encoder.lm_head.", "decoder.lm_head."),
    )(content)  # fmt: skip


def test_old_names_are_left_to_fairseq_itself(tmp_path: Path, worker: FairseqWorker) -> None:
    new = Run(worker, MLM, IDS)
    old = Run(worker, save_edited(tmp_path / "c.pt", old_names), IDS)
    assert old.reference.facts["names"] == "the checkpoint's"
    assert old.reference.used == set(old.prepared.tensors) - {"decoder.sentence_encoder.version"}
    assert "decoder.sentence_encoder.layers.0.self_attn.in_proj_weight" in old.reference.used
    for name, parts in new.found.items():
        assert all(torch.equal(value, old.found[name][part]) for part, value in parts.items())


def test_fairseq_chooses_the_layers_that_are_kept(tmp_path: Path, worker: FairseqWorker) -> None:
    path = save_edited(
        tmp_path / "c.pt", lambda content: setattr(content["cfg"]["model"], "encoder_layers_to_keep", "0,2")
    )
    run = Run(worker, path, IDS)
    assert run.reference.facts["names"] == "the checkpoint's"
    assert [name for name in run.found if name.startswith("layers.")] == ["layers.0", "layers.1"]
    left_out = {name for name in run.prepared.tensors if ".layers.1." in name}
    assert run.reference.used == set(run.prepared.tensors) - left_out - {AT + "version"}
    assert run.excess() <= 0


def wider(content: dict[str, Any]) -> None:
    """Weights that float32 cannot hold, except for one that is of half precision."""
    torch.manual_seed(0)
    model = content["model"]
    for name, tensor in model.items():
        model[name] = tensor.double() * (1 + 1e-9 * torch.randn(tensor.shape, dtype=torch.float64))
    model["encoder.lm_head.weight"] = model[AT + "embed_tokens.weight"]
    model[AT + "version"] = torch.tensor([3.0])
    name = AT + "layers.1.fc1.bias"
    model[name] = model[name].bfloat16()


def test_float64_and_bfloat16_arrive_as_they_are(tmp_path: Path, worker: FairseqWorker) -> None:
    run = Run(worker, save_edited(tmp_path / "c.pt", wider), IDS)
    run.reference.measured.clear()
    again = dict(run.reference.stages(IDS))["layer_norm"]["out"][run.real]  # float32 was in between
    assert torch.equal(again, run.found["layer_norm"]["out"])
    for name in ("embeddings", "layers.0", "layers.1"):
        for part in ("q_proj", "fc1") if name != "embeddings" else ("out",):
            noise = run.reference.measured[name, part]
            assert run.apart(name, part) <= noise.rounding + 1e-13 * noise.scale
    assert run.apart("embeddings", "out") < 1e-14
    plain = Run(worker, MLM, IDS)
    assert 1e-11 < (plain.found["embeddings"]["out"] - run.found["embeddings"]["out"]).abs().max() < 1e-7


def as_data2vec(content: dict[str, Any]) -> None:
    model = content["model"]
    for name in [name for name in model if name.startswith("encoder.lm_head.")]:
        del model[name]
    model["encoder.regression_head.0.weight"] = torch.ones(3, 48)
    model["encoder._ema"] = {name.removeprefix(AT): torch.zeros(2) for name in list(model)[1:3]}


def test_a_data2vec_file_has_no_logits_to_ask_for(tmp_path: Path, worker: FairseqWorker) -> None:
    path = save_edited(tmp_path / "c.pt", as_data2vec)
    run, plain = Run(worker, path, IDS), Run(worker, MLM, IDS)
    assert run.reference.facts["names"] == "the checkpoint's"
    assert torch.equal(run.found["layer_norm"]["out"], plain.found["layer_norm"]["out"])
    assert not any("_ema" in name or "regression" in name for name in run.reference.used)
    with pytest.raises(ValueError, match="no LM head"):
        FairseqReference(worker, told(run.prepared))


def test_missing_tensors_are_one_clear_error(tmp_path: Path, worker: FairseqWorker) -> None:
    prepared = understood(MLM)
    model = told(prepared)
    gone = f"{AT}layers.1.fc2.bias"
    for tensors in (model.stored, model.canonical):
        assert isinstance(tensors, dict)
        del tensors[gone]
    with pytest.raises(FairseqRefused) as raised:
        FairseqReference(worker, model)
    assert (raised.value.kind, raised.value.exit_code, raised.value.problems) == ("tensors", 2, (f"missing: '{gone}'",))


def test_only_the_last_batch_can_be_asked_about(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS)
    features = run.found["layer_norm"]["out"]
    with pytest.raises(ValueError, match="last batch"):
        run.reference.logits(features + 1)
    row, bias = 3, -1e4
    extra = run.reference.extra_row_logits(run.found["logits"]["out"], row, bias)
    own = run.prepared.tensors["encoder.lm_head.bias"].read()[row].double()
    assert torch.equal(extra, run.found["logits"]["out"][:, row : row + 1] - own + bias)


def test_stages_that_nobody_waited_for_do_not_reach_the_next_question(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS)
    assert next(run.reference.stages(IDS.flip(0)))[0] == "embeddings"
    again = dict(run.reference.stages(IDS))
    assert torch.equal(again["layers.2"]["fc1"][run.real], run.found["layers.2"]["fc1"])


def test_a_model_that_was_replaced_is_not_asked(worker: FairseqWorker) -> None:
    first = FairseqReference(worker, told(understood(MLM)))
    FairseqReference(worker, told(understood(CLASSIFIER)))
    with pytest.raises(ValueError, match="another model"):
        next(first.stages(IDS))
