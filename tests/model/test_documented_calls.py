"""Calls as both documentations of transformers describe them: by position, with past tuples, masks of four dimensions."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from helpers.model_pairs import NAMES, SMALL, apart, batch, inputs_for, labels_for, pair

ENCODER, CAUSAL, MASKED = NAMES[0], NAMES[1], NAMES[2]
STATES = torch.randn(3, 7, SMALL["hidden_size"], generator=torch.Generator().manual_seed(4)).double()
# Behind the five that all have, the order of transformers 4.34's documentation.
_OPTIONS = ("output_attentions", "output_hidden_states", "return_dict")
_OLDER = {
    ENCODER: ("encoder_hidden_states", "encoder_attention_mask", "past_key_values", "use_cache"),
    CAUSAL: ("encoder_hidden_states", "encoder_attention_mask", "labels", "past_key_values", "use_cache"),
    MASKED: ("encoder_hidden_states", "encoder_attention_mask", "labels"),
    "RobertaPreLayerNormForQuestionAnswering": ("start_positions", "end_positions"),
    "RobertaPreLayerNormForMultipleChoice": (),
}


def older_order(name: str) -> list[str]:
    first = ["input_ids", "attention_mask", "token_type_ids", "position_ids"]
    if "MultipleChoice" in name:
        first = ["input_ids", "token_type_ids", "attention_mask", "labels", "position_ids"]
    return [*first, "head_mask", "inputs_embeds", *_OLDER.get(name, ("labels",)), *_OPTIONS]


def newer_order(name: str) -> list[str]:
    parameters = inspect.signature(pair(name)[0].forward).parameters.values()
    return [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]


def everything(name: str) -> dict[str, Any]:
    """A value for each argument that the class has in either order, in two calls: ids, or embeddings."""
    given: dict[str, Any] = {**inputs_for(name), **labels_for(name)}
    given["position_ids"] = torch.arange(2, 14).expand(given["input_ids"].shape)
    if name == CAUSAL:
        given |= {
            "encoder_hidden_states": STATES,
            "encoder_attention_mask": torch.ones(3, 7).tril(3),
            "use_cache": True,
        }
    return given


def first_of(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output.to_tuple()[0]


@pytest.mark.parametrize("with_embeddings", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_either_order_by_position_is_the_call_by_name(name: str, with_embeddings: bool) -> None:
    net, _ = pair(name, add_cross_attention=name == CAUSAL)
    given = everything(name)
    if with_embeddings:
        given["inputs_embeds"] = net.get_input_embeddings()(given.pop("input_ids")).detach() * 1.5
    expected = net(**given)
    newer = [given.get(key) for key in newer_order(name) if key != "logits_to_keep"]
    assert apart(first_of(net(*newer)), first_of(expected)) == 0.0
    heads = torch.tensor([[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 1.0, 0.25]]).double()
    for head_mask in (None, heads, heads[0]):
        by_name = net(
            **given, head_mask=head_mask, output_attentions=True, output_hidden_states=False, return_dict=False
        )
        values = {**given, "head_mask": head_mask}
        by_position = net(*(values.get(key) for key in older_order(name)[:-3]), True, False, False)
        assert isinstance(by_position, tuple)
        assert len(by_position) == len(by_name)
        assert apart(by_position[0], by_name[0]) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_arguments_by_position(name: str) -> None:
    """However many are given, and whether the rest is given by name or not at all."""
    net, _ = pair(name, add_cross_attention=name == CAUSAL)
    given = everything(name)
    expected = first_of(net(**given))
    for order in (newer_order(name), older_order(name)):
        for count in range(1, len(order) + 1):
            values = [given.get(key) for key in order[:count]]
            rest = {key: value for key, value in given.items() if key not in order[:count]}
            if values[-1] is None and count > 5:
                continue  # a None at the end says nothing of the order
            assert apart(first_of(net(*values, **rest)), expected) == 0.0, (order[:count], rest.keys())


def test_cache_position_says_what_the_cache_says() -> None:
    net, _ = pair(CAUSAL)
    ids, _ = batch()
    full = net(ids, use_cache=False).logits
    cache = net(ids[:, :5], cache_position=torch.arange(5)).past_key_values
    step = net(ids[:, 5:8], past_key_values=cache, cache_position=torch.arange(5, 8))
    assert apart(step.logits[:1], full[:1, 5:8]) < 1e-10
    with pytest.raises(ValueError, match=r"cache_position is .* from 5 to 7; .* it must be 8 to 10"):
        net(ids[:, 8:11], past_key_values=cache, cache_position=torch.arange(5, 8))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", [ENCODER, CAUSAL])
def test_masks_of_four_dimensions(name: str, implementation: str) -> None:
    """Added to the scores, or bool; by head or for all; in place of the decoder's own mask."""
    ours, theirs = pair(name, add_cross_attention=name == CAUSAL)
    theirs.set_attn_implementation(implementation)
    ids, _ = batch()
    generator = torch.Generator().manual_seed(6)
    bias = torch.randn(3, 4, 12, 12, generator=generator).double()
    hides = torch.rand(1, 1, 12, 12, generator=generator) < 0.4
    hides[..., 0] = False
    minimum = torch.finfo(torch.float64).min
    masks = [bias, bias[:1], bias[:, :1], torch.zeros_like(bias).masked_fill(hides, minimum)]
    masks += [~hides] if implementation == "sdpa" else []  # eager adds whatever it gets
    options = {}
    if name == CAUSAL:
        options = {"encoder_hidden_states": STATES, "encoder_attention_mask": bias[:, :, :, :7], "use_cache": False}
    for mask in masks:
        expected = theirs(ids, attention_mask=mask, **options)[0]
        assert apart(ours(ids, mask, **options)[0], expected) < 1e-10
        # the other way through the attention, where weights are wanted
        assert apart(ours(ids, mask, output_attentions=True, **options)[0], expected) < 1e-10
    integers = ours(ids, (~hides).long(), **options)[0]
    assert apart(integers, ours(ids, ~hides, **options)[0]) == 0.0
    nothing = ~hides & (torch.arange(12) != 4)[:, None]
    assert bool(ours(ids, nothing, **options)[0].isfinite().all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_mask_may_have_a_wider_type_than_the_model(dtype: torch.dtype) -> None:
    net, _ = pair(ENCODER, dtype)
    ids, _ = batch()
    for options in ({}, {"output_attentions": True}):
        assert net(ids, torch.zeros(1, 1, 12, 12).double(), **options)[0].dtype == dtype


@pytest.mark.parametrize("name", [ENCODER, MASKED, CAUSAL])
def test_embeddings_without_token_types(name: str) -> None:
    """Also step by step with a cache, first or last as ids."""
    ours, theirs = pair(name)
    ids, mask = batch(rows=2)
    embeds = ours.get_input_embeddings()(ids).detach() * 1.5
    expected = theirs(inputs_embeds=embeds, attention_mask=mask)[0]
    real = mask.bool()
    assert apart(ours(inputs_embeds=embeds, attention_mask=mask)[0][real], expected[real]) < 1e-10
    if name == CAUSAL:
        same = ours.get_input_embeddings()(ids).detach()
        full = ours(inputs_embeds=same, use_cache=False).logits[:1]
        for order in ("ids first", "embeddings first"):
            cache = None
            for number, (start, end) in enumerate(((0, 5), (5, 7), (7, 9), (9, 12))):
                as_ids = (number % 2 == 0) == (order == "ids first")
                part = {"input_ids": ids[:, start:end]} if as_ids else {"inputs_embeds": same[:, start:end]}
                step = ours(**part, past_key_values=cache, use_cache=True)
                cache = step.past_key_values
                assert apart(step.logits[:1], full[:, start:end]) < 1e-10
