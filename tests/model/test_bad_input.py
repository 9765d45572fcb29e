"""Bad input to the models: a ValueError that names the argument, the value and the limit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import prenorm_model as model
from helpers.bad_inputs import CASES, CAUSAL, ENCODER, IDS, SEQUENCE, SPAN, STATES
from helpers.model_pairs import settings


@pytest.mark.parametrize(("name", "arguments", "message"), CASES, ids=[f"{case[0]}: {case[2][:40]}" for case in CASES])
def test_the_error_names_argument_value_and_limit(name: str, arguments: dict[str, Any], message: str) -> None:
    net = getattr(model, name)(model.RobertaPreLayerNormConfig(**settings(name)))
    with pytest.raises(ValueError) as caught:
        net(**arguments)
    assert message in str(caught.value)


def test_a_full_cache_names_what_it_holds() -> None:
    net = model.RobertaPreLayerNormForCausalLM(model.RobertaPreLayerNormConfig(**settings(CAUSAL)))
    cache = net(torch.full((1, 20), 5)).past_key_values
    with pytest.raises(ValueError, match=r"input_ids holds 23 tokens \(20 of them in past_key_values\)"):
        net(torch.full((1, 3), 5), past_key_values=cache)


def test_cross_attention_states_must_fit() -> None:
    net = model.RobertaPreLayerNormForCausalLM(
        model.RobertaPreLayerNormConfig(**settings(CAUSAL), add_cross_attention=True)
    )
    with pytest.raises(ValueError, match=r"encoder_hidden_states has shape \[2, 3, 7\]"):
        net(IDS, encoder_hidden_states=torch.zeros(2, 3, 7))
    with pytest.raises(ValueError, match=r"encoder_attention_mask has shape \[2, 9\]"):
        net(IDS, encoder_hidden_states=STATES, encoder_attention_mask=torch.ones(2, 9))


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        (
            {"vocab_size": 0, "hidden_act": "swoosh", "hidden_dropout_prob": 2.0},
            ["vocab_size is 0", "'swoosh'", "is 2.0"],
        ),
        ({"num_attention_heads": 5}, ["num_attention_heads=5 does not divide hidden_size=24"]),
        ({"pad_token_id": 50}, ["pad_token_id is 50, not a row of the vocabulary of 50"]),
        ({"num_labels": 0, "problem_type": "guess"}, ["num_labels is 0", "problem_type is 'guess'"]),
        ({"position_embedding_type": "rotary", "layer_norm_eps": 0}, ["'rotary'", "layer_norm_eps is 0"]),
        ({"add_cross_attention": True}, ["needs is_decoder=True"]),
        ({"num_labels": 3, "id2label": {0: "a"}}, ["num_labels=3, but id2label has 1"]),
        ({"model_type": "bert"}, ["model_type is 'bert'"]),
    ],
)
def test_config_names_every_problem_at_once(changes: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(ValueError, match="cannot work") as caught:
        model.RobertaPreLayerNormConfig(**{**settings(ENCODER), "num_labels": None, **changes})
    assert all(part in str(caught.value) for part in messages), str(caught.value)


def test_span_positions_outside_are_ignored() -> None:
    net = model.RobertaPreLayerNormForQuestionAnswering(model.RobertaPreLayerNormConfig(**settings(SPAN))).eval()
    inside = net(IDS[:1], start_positions=torch.tensor([1]), end_positions=torch.tensor([2])).loss
    some = net(IDS[[0, 0]], start_positions=torch.tensor([1, 77]), end_positions=torch.tensor([[2], [-3]])).loss
    assert (inside - some).abs().item() < 1e-6


def test_question_answering_has_two_outputs() -> None:
    with pytest.raises(ValueError, match="num_labels is 3"):
        model.RobertaPreLayerNormForQuestionAnswering(model.RobertaPreLayerNormConfig(**settings(SEQUENCE)))
