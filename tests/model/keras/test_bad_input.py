"""Bad input to the Keras models: the sentences that PyTorch's say, and nothing around them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import prenorm_model
from helpers.bad_inputs import CASES
from helpers.model_pairs import settings
from prenorm_model import keras as keras_part
from prenorm_model.keras.base import argument_names


@cache
def net_of(name: str) -> Any:
    return getattr(keras_part, f"TF{name}")(prenorm_model.RobertaPreLayerNormConfig(**settings(name)))


def array(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, prenorm_model.KeyValueCache):
        return value.to_legacy_cache()
    return tuple(array(item) for item in value) if isinstance(value, tuple) else value


TAKEN = [
    (name, arguments, message)
    for name, arguments, message in CASES
    if set(arguments) <= set(argument_names(getattr(keras_part, f"TF{name}")))
]


@pytest.mark.parametrize(("name", "arguments", "message"), TAKEN, ids=[f"{case[0]}: {case[2][:40]}" for case in TAKEN])
def test_the_error_names_argument_value_and_limit(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        net_of(name)(**{key: array(value) for key, value in arguments.items()})
    assert message.replace("torch.", "") in str(caught.value)
    assert "Arguments received" not in str(caught.value)


def test_few_cases_are_left_out() -> None:
    assert len(CASES) - len(TAKEN) <= 3


def test_arguments_that_do_not_go_together_are_named() -> None:
    net, ids = net_of("RobertaPreLayerNormForMaskedLM"), np.array([[0, 5, 2]])
    with pytest.raises(TypeError, match=r"'attention_masks' \(did you mean 'attention_mask'\?\)"):
        net({"input_ids": ids, "attention_masks": ids})
    with pytest.raises(TypeError, match="got input_ids twice"):
        net({"input_ids": ids}, input_ids=ids)
    with pytest.raises(TypeError, match="got a list of 12 inputs; it takes input_ids, attention_mask"):
        net([ids] * 12)
    with pytest.raises(TypeError, match="got 12 arguments by position"):
        net(*[ids] * 12)
    with pytest.raises(TypeError, match=r"makes the model's own of transformers'"):
        keras_part.TFRobertaPreLayerNormModel({"hidden_size": 24})
