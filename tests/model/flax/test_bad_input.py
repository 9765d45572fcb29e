"""Bad input to the Flax models: the sentences that PyTorch's say, where values can be seen."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
import torch

import prenorm_model
from helpers.bad_inputs import CASES
from helpers.flax_pairs import as_arrays, loss_of
from helpers.model_pairs import settings
from prenorm_model import flax as flax_part
from prenorm_model.flax.base import FlaxPretrainedModel

LABELS = {"labels", "start_positions", "end_positions"}
KNOWN = {*inspect.signature(FlaxPretrainedModel.__call__).parameters, *LABELS}
# Of PyTorch's cases those without what Flax' models do not take, as documented: embeddings, past tuples, switches of a cache.
TAKEN = [
    case
    for case in CASES
    if set(case[1]) <= KNOWN and "past_key_values" not in case[1] and "input_ids" in case[1]
]  # fmt: skip


@cache
def net_of(name: str, **changes: Any) -> Any:
    return getattr(flax_part, f"Flax{name}")(prenorm_model.RobertaPreLayerNormConfig(**{**settings(name), **changes}))


@pytest.mark.parametrize(("name", "arguments", "message"), TAKEN, ids=[f"{case[0]}: {case[2][:40]}" for case in TAKEN])
def test_the_error_names_argument_value_and_limit(name: str, arguments: dict[str, Any], message: str) -> None:
    arrays = as_arrays(arguments)
    labels = {key: arrays.pop(key) for key in LABELS & arrays.keys()}
    net = net_of(name)
    with pytest.raises(ValueError) as caught:
        loss_of(name, net.config)(net(**arrays), labels)
    assert message.replace("torch.", "") in str(caught.value)


def test_most_cases_are_taken() -> None:
    assert len(TAKEN) >= len(CASES) - 12


def test_a_cache_that_does_not_fit_is_named() -> None:
    ids = np.array([[0, 5, 6, 2], [0, 7, 2, 1]])
    decoder = net_of("RobertaPreLayerNormForCausalLM")
    with pytest.raises(
        ValueError, match="past_key_values is a tuple; pass what init_cache or an earlier forward returned"
    ):
        decoder(ids, past_key_values=())
    with pytest.raises(ValueError, match=r"2 layers of \[3, 4, 8, 6\]; it must have 2 of \[2, 4, 8, 6\]"):
        decoder(ids, past_key_values=decoder.init_cache(3, 8))
    full = decoder(ids, past_key_values=decoder.init_cache(2, 6)).past_key_values
    with pytest.raises(
        ValueError, match=r"input_ids holds 8 tokens \(4 of them in past_key_values\), which has room for 6"
    ):
        decoder(ids, past_key_values=full)
    with pytest.raises(ValueError, match=r"attention_mask has shape \[2, 7\]; it must be \[2, 5\]"):
        decoder(ids[:, :1], np.ones((2, 7)), past_key_values=full)
    with pytest.raises(ValueError, match="past_key_values was given to an encoder"):
        net_of("RobertaPreLayerNormModel")(ids, past_key_values=full)
    with pytest.raises(ValueError, match="init_cache was called on an encoder"):
        net_of("RobertaPreLayerNormModel").init_cache(2, 6)


def test_inside_a_trace_shapes_are_judged_and_values_are_not() -> None:
    net = net_of("RobertaPreLayerNormModel")
    jax.eval_shape(lambda ids: net(ids), np.full((2, 4), 77))
    with pytest.raises(ValueError, match=r"attention_mask has shape \[2, 5\]; it must be \[2, 4\]"):
        jax.eval_shape(lambda ids: net(ids, np.ones((2, 5))), np.full((2, 4), 7))


def test_ids_beyond_what_is_computed_with_are_named() -> None:
    net = net_of("RobertaPreLayerNormModel")
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match=f"input_ids holds {2**32 + 5}; its values go from 0 to 49"),
    ):
        net(np.array([[2**32 + 5, 3]]))
    with pytest.raises(ValueError, match="input_ids has type bool"):
        net(torch.ones(1, 3, dtype=torch.bool).numpy())
