"""What users reach for on any model of transformers: under its names, with its answers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import prenorm_model as model
from helpers.model_pairs import NAMES, SMALL, apart, batch, pair

ENCODER, CAUSAL, MASKED = NAMES[0], NAMES[1], NAMES[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_answers(name: str) -> None:
    ours, theirs = pair(name)
    for net in (ours, theirs):
        net.get_input_embeddings().weight.requires_grad_(False)
    for exclude_embeddings in (False, True):
        for only_trainable in (False, True):
            counts = [net.num_parameters(only_trainable, exclude_embeddings) for net in (ours, theirs)]
            assert counts[0] == counts[1] > 0
    # transformers keeps two tables of positions and types as buffers
    assert ours.get_memory_footprint() == theirs.get_memory_footprint(return_buffers=False)
    assert ours.get_memory_footprint() == ours.get_memory_footprint(return_buffers=False)
    assert ours.can_generate() == type(ours).can_generate() == theirs.can_generate()
    assert (ours.base_model_prefix, ours.main_input_name) == (theirs.base_model_prefix, theirs.main_input_name)
    assert (ours.dtype, ours.device) == (theirs.dtype, theirs.device)
    assert type(ours.base_model).__name__ == type(theirs.base_model).__name__
    assert ours.config_class is model.RobertaPreLayerNormConfig
    assert isinstance(ours.config, ours.config_class)
    heads = [net.get_output_embeddings() for net in (ours, theirs)]
    assert [None if head is None else tuple(head.weight.shape) for head in heads] == [
        (50, 24) if name in (CAUSAL, MASKED) else None
    ] * 2


@pytest.mark.parametrize("name", [name for name in NAMES if "MultipleChoice" not in name])
def test_dummy_inputs_are_inputs(name: str) -> None:
    ours, _ = pair(name)
    assert ours(**ours.dummy_inputs)[0].shape[0] == 3


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", [ENCODER, MASKED, CAUSAL])
def test_new_rows_lie_around_the_old_mean_as_transformers_draws_them(name: str, tied: bool) -> None:
    nets = pair(name, vocab_size=200, tie_word_embeddings=tied)
    tables: list[list[torch.Tensor]] = [[], []]
    for net, found in zip(nets, tables, strict=True):
        torch.manual_seed(0)
        net.resize_token_embeddings(5000)
        found.append(net.get_input_embeddings().weight[200:].detach())
        if name != ENCODER:
            found += [net.lm_head.decoder.weight[200:].detach(), net.lm_head.decoder.bias[200:].detach()]
        assert net.config.vocab_size == 5000
    for mine, other in zip(*tables, strict=True):
        assert apart(mine.mean(0), other.mean(0)) < 1e-5
        assert (float(mine.std(0).min()) > 0) is (float(other.std(0).min()) > 0)  # a tied head's bias stays zero
    mine, other = (found[0] - found[0].mean(0) for found in tables)
    spreads = mine.T @ mine / 4800, other.T @ other / 4800
    assert apart(*spreads) < 0.15 * float(spreads[1].diagonal().mean())
    assert float(spreads[0].diagonal().mean()) == pytest.approx(1e-9 * 0.09, rel=0.2)


def test_new_rows_of_a_table_with_fewer_rows_than_features_are_its_mean() -> None:
    ours, _ = pair(ENCODER, vocab_size=8)
    table = ours.get_input_embeddings().weight.detach().clone()
    ours.resize_token_embeddings(12)
    assert apart(ours.get_input_embeddings().weight[8:], table.mean(0).expand(4, -1)) < 1e-4


def test_without_mean_resizing_new_rows_are_drawn_as_all_weights_are() -> None:
    ours, theirs = pair(MASKED)
    for net in (ours, theirs):
        table = net.resize_token_embeddings(3050, mean_resizing=False)
        assert abs(float(table.weight[50:].detach().mean())) < 1e-3
        assert float(table.weight[50:].detach().std()) == pytest.approx(net.config.initializer_range, rel=0.02)
        assert float(net.lm_head.bias[50:].detach().abs().max()) == 0.0


@pytest.mark.parametrize(("new", "multiple", "rows"), [(None, None, 50), (None, 16, 64), (65, 64, 128), (128, 64, 128)])
def test_rows_are_rounded_up(new: int | None, multiple: int | None, rows: int) -> None:
    for net in pair(MASKED):
        assert net.resize_token_embeddings(new, pad_to_multiple_of=multiple).num_embeddings == rows
        assert net.config.vocab_size == rows
        assert net(batch()[0]).logits.shape[-1] == rows


def test_a_frozen_table_stays_frozen_and_a_bad_multiple_is_named() -> None:
    ours, _ = pair(ENCODER)
    ours.get_input_embeddings().weight.requires_grad_(False)
    assert not ours.resize_token_embeddings(60).weight.requires_grad
    for wrong in (0, 1.3):
        with pytest.raises(ValueError, match=f"pad_to_multiple_of is {wrong}, not a positive integer"):
            ours.resize_token_embeddings(pad_to_multiple_of=wrong)


@pytest.mark.parametrize("bias", [True, False])
def test_another_map_onto_the_vocabulary_unties_the_two_and_loads_again(bias: bool, tmp_path: Path) -> None:
    ours, theirs = pair(MASKED)
    new = nn.Linear(24, 50, bias=bias).double()
    ours.set_output_embeddings(copy.deepcopy(new))
    theirs.set_output_embeddings(new)
    ids, mask = batch()
    logits = ours(ids, mask).logits
    assert apart(logits, theirs(ids, mask).logits) < 1e-10
    ours.save_pretrained(tmp_path)
    assert apart(model.RobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path)(ids, mask).logits, logits) < 1e-10
    ours.set_output_embeddings(ours.get_output_embeddings())
    assert apart(ours(ids, mask).logits, logits) == 0.0
    with pytest.raises(ValueError, match="RobertaPreLayerNormModel has no map onto the vocabulary"):
        pair(ENCODER)[0].set_output_embeddings(new)


@pytest.mark.parametrize("name", [ENCODER, CAUSAL])
def test_an_encoders_weights_start_new_cross_attention(name: str, tmp_path: Path) -> None:
    encoder, _ = pair(name, is_decoder=False)
    encoder.save_pretrained(tmp_path)
    changes: dict[str, Any] = {"is_decoder": True, "add_cross_attention": True}
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="newly initialized") as caught:
        decoder = getattr(model, name).from_pretrained(tmp_path, **changes)
    prefix = "" if name == ENCODER else "roberta_prelayernorm."
    assert f"{prefix}encoder.layer.*.crossattention of {name} is not in" in str(caught[0].message)
    layers = [layer.crossattention for layer in decoder.base_model.encoder.layer]
    assert all(0.01 < float(layer.self.query.weight.std()) < 0.03 for layer in layers)
    assert all(float(layer.LayerNorm.weight.min()) == 1.0 for layer in layers)
    states = torch.randn(3, 7, SMALL["hidden_size"]).double()
    assert bool(decoder(batch()[0], encoder_hidden_states=states)[0].isfinite().all())
    assert apart(decoder.get_input_embeddings().weight, encoder.get_input_embeddings().weight) == 0.0
    decoder.save_pretrained(tmp_path)
    tensors = dict(decoder.state_dict())
    assert getattr(model, name).from_pretrained(tmp_path).state_dict().keys() == tensors.keys()


def test_cross_attention_that_a_folder_lacks_in_part_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    net, _ = pair(CAUSAL, add_cross_attention=True)
    net.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "layer.1.crossattention" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing: .*layer\.1\.crossattention"):
        model.RobertaPreLayerNormForCausalLM.from_pretrained(tmp_path)


def test_a_model_says_where_it_was_loaded_from(tmp_path: Path) -> None:
    ours, theirs = pair(MASKED)
    assert ours.name_or_path == theirs.name_or_path == ""
    ours.save_pretrained(tmp_path)
    loaded = [type(net).from_pretrained(tmp_path).name_or_path for net in (ours, theirs)]
    assert loaded == [str(tmp_path)] * 2
