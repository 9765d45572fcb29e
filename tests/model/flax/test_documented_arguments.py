"""Arguments and options by transformers' names: what they do, and why some do nothing here."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prenorm_model
from helpers.flax_pairs import flax_pair
from prenorm_model import flax as flax_part
from prenorm_model.options import UNSUPPORTED_FLAX_LOADING, UNSUPPORTED_KERAS_LOADING, UNSUPPORTED_LOADING

NAME = "RobertaPreLayerNormModel"


def test_a_model_without_a_pooler_loads_saves_and_needs_no_warning(tmp_path: Path) -> None:
    _, masked = flax_pair("RobertaPreLayerNormForMaskedLM", "float32")
    masked.save_pretrained(tmp_path / "masked")  # a folder without a pooler, as converted ones are
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model: Any = flax_part.FlaxRobertaPreLayerNormModel.from_pretrained(
            tmp_path / "masked", add_pooling_layer=False, input_shape=(1, 4)
        )
    output = model([[0, 5, 6, 2]])
    assert output.get("pooler_output") is None and len(model([[0, 5, 6, 2]], return_dict=False)) == 1
    assert "pooler" not in model.params and not model.add_pooling_layer
    model.save_pretrained(tmp_path / "saved")
    with pytest.warns(UserWarning, match="pooler of FlaxRobertaPreLayerNormModel is not in"):
        whole: Any = flax_part.FlaxRobertaPreLayerNormModel.from_pretrained(tmp_path / "saved")
    assert "pooler" in whole.params
    assert np.array_equal(whole([[0, 5, 6, 2]]).last_hidden_state, output.last_hidden_state)
    whole.save_pretrained(tmp_path / "whole")
    again, info = flax_part.FlaxRobertaPreLayerNormModel.from_pretrained(
        tmp_path / "whole", add_pooling_layer=False, output_loading_info=True
    )
    assert "pooler" not in again.params and not info["missing_keys"]
    with pytest.raises(TypeError, match="add_pooling_layer"):
        flax_part.FlaxRobertaPreLayerNormForMaskedLM.from_pretrained(tmp_path / "masked", add_pooling_layer=False)


def test_what_is_not_done_is_refused_for_the_frameworks_own_reason(tmp_path: Path) -> None:
    prenorm_model.RobertaPreLayerNormConfig().save_pretrained(tmp_path)
    load = flax_part.FlaxRobertaPreLayerNormModel.from_pretrained
    for name, reason in UNSUPPORTED_FLAX_LOADING.items():
        with pytest.raises(ValueError, match=re.escape(f"Model.from_pretrained does not take {name}: {reason}")):
            load(tmp_path, **{name: "something"})
    assert set(UNSUPPORTED_LOADING) <= set(UNSUPPORTED_FLAX_LOADING) & set(UNSUPPORTED_KERAS_LOADING)
    for reasons in (UNSUPPORTED_FLAX_LOADING, UNSUPPORTED_KERAS_LOADING):
        assert not [
            text for text in reasons.values() if re.search(r"torch\.|device_map|state_dict|PyTorch's (file|kern)", text)
        ]


def test_the_names_of_a_class_are_those_of_transformers() -> None:
    for cls in (flax_part.FlaxRobertaPreLayerNormModel, flax_part.FlaxRobertaPreLayerNormForCausalLM):
        assert cls.config_class is prenorm_model.RobertaPreLayerNormConfig
        assert (cls.base_model_prefix, cls.main_input_name) == ("roberta_prelayernorm", "input_ids")
