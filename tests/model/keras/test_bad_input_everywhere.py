"""Any bad argument: where PyTorch's model refuses it, Keras' and Flax' refuse it in the same words."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import prenorm_model
from helpers.flax_pairs import loss_of
from helpers.model_pairs import NAMES
from helpers.model_pairs import settings as config_of
from prenorm_model import flax as flax_part
from prenorm_model import keras as keras_part

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the words are the same on every backend"
)

LABELS = ("labels", "start_positions", "end_positions")
TYPES = ("int64", "int32", "float32", "float64", "bool")
EVERYWHERE = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "head_mask")


@cache
def nets_of(name: str) -> tuple[Any, Any, Any]:
    """The model of a class in all three frameworks; what they compute does not matter."""
    changes = {"num_hidden_layers": 1, **({"add_cross_attention": True} if "Causal" in name else {})}
    config = prenorm_model.RobertaPreLayerNormConfig(**{**config_of(name), **changes})
    models = (getattr(prenorm_model, name), getattr(keras_part, f"TF{name}"), getattr(flax_part, f"Flax{name}"))
    return models[0](config).eval(), models[1](config), models[2](config)


def arguments_of(name: str) -> dict[str, Any]:
    """Arguments that are right."""
    shape = (2, 2, 4) if "MultipleChoice" in name else (2, 4)
    found: dict[str, Any] = {argument: np.ones(shape, "int64") for argument in EVERYWHERE}
    found["head_mask"] = np.ones(4, "float32")
    if "Causal" in name:
        found["encoder_hidden_states"] = np.ones((2, 3, 24), "float32")
        found["encoder_attention_mask"] = np.ones((2, 3), "int64")
    if "QuestionAnswering" in name:
        found |= {"start_positions": np.ones(2, "int64"), "end_positions": np.ones(2, "int64")}
    elif name != "RobertaPreLayerNormModel":
        is_of_tokens = "Token" in name or "LM" in name
        found["labels"] = np.ones(shape if is_of_tokens else 2, "int64")
    return found


def refusals(name: str, arguments: dict[str, Any]) -> list[str | None]:
    """What each framework says to arguments; None of the first where it takes them, for then the others are not asked."""
    first, second, third = nets_of(name)

    def by_flax() -> None:
        labels = {key: value for key, value in arguments.items() if key in LABELS}
        output = third(**{key: value for key, value in arguments.items() if key not in LABELS})
        if labels:
            loss_of(name, third.config)(output, labels)

    def by_torch() -> None:
        with torch.no_grad():
            first(**{key: torch.tensor(value) for key, value in arguments.items()})

    said: list[str | None] = []
    for call in (by_torch, lambda: second(**arguments), by_flax):
        try:
            call()
        except ValueError as error:
            said.append(str(error).replace("torch.", ""))
        else:
            said.append(None)
        if said[0] is None:
            break
    return said


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), st.sampled_from(NAMES))
def test_one_bad_argument(data: st.DataObject, name: str) -> None:
    arguments = arguments_of(name)
    wrong = data.draw(st.sampled_from(sorted(arguments)))
    shape = list(arguments[wrong].shape)
    if data.draw(st.booleans()):
        shape = data.draw(st.lists(st.integers(1, 5), min_size=0, max_size=5))
    types = (
        ("float32",) if wrong == "encoder_hidden_states" else TYPES
    )  # of features, PyTorch itself says what it wants
    dtype, value = data.draw(st.sampled_from(types)), data.draw(st.sampled_from([-101, -100, -1, 0, 1, 3, 30, 99]))
    arguments[wrong] = np.full(shape, value).astype(dtype)
    said = refusals(name, arguments)
    assume(said[0] is not None)
    assert said == [said[0]] * 3
