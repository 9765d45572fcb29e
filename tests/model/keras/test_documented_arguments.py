"""Arguments and options by transformers' names: loading and saving."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import prenorm_model
from helpers.keras_pairs import keras_pair
from prenorm_model import keras as keras_part
from prenorm_model.options import UNSUPPORTED_KERAS_LOADING

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these are TensorFlow's own")
MASKED = "RobertaPreLayerNormForMaskedLM"
IDS = np.array([[0, 5, 6, 2]], "int32")


def test_saving_takes_the_documented_arguments_in_their_order(tmp_path: Path) -> None:
    _, ours = keras_pair(MASKED, "float32")
    assert list(inspect.signature(ours.save_pretrained).parameters)[:6] == [
        "save_directory", "saved_model", "version", "push_to_hub", "signatures", "max_shard_size",
    ]  # fmt: skip
    ours.save_pretrained(tmp_path, True, 3)
    served = tf.saved_model.load(str(tmp_path / "saved_model" / "3"))
    inputs = {"input_ids": tf.constant(IDS), "attention_mask": tf.ones_like(IDS)}
    served_logits = tf.nest.flatten(served.serve(inputs))
    assert min(float(np.abs(item - ours(IDS).logits).max()) for item in served_logits if item.shape[-1] == 50) <= 1e-5
    assert (tmp_path / "model.safetensors").exists()
    with pytest.raises(ValueError, match="takes signatures with saved_model=True only"):
        ours.save_pretrained(tmp_path, signatures=[])
    with pytest.raises(ValueError, match="takes create_pr with push_to_hub=True only"):
        ours.save_pretrained(tmp_path, create_pr=True)


def test_a_file_may_be_asked_for(tmp_path: Path) -> None:
    _, ours = keras_pair(MASKED, "float32")
    load: Any = keras_part.TFRobertaPreLayerNormForMaskedLM.from_pretrained
    ours.save_pretrained(tmp_path, safe_serialization=False)
    assert np.array_equal(load(tmp_path, use_safetensors=False)(IDS).logits, ours(IDS).logits)
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors$"):
        load(tmp_path, use_safetensors=True)
    ours.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no tf_model\.h5$"):
        load(tmp_path, use_safetensors=False)


def test_what_is_not_done_is_refused_for_the_frameworks_own_reason(tmp_path: Path) -> None:
    prenorm_model.RobertaPreLayerNormConfig().save_pretrained(tmp_path)
    for name, reason in UNSUPPORTED_KERAS_LOADING.items():
        with pytest.raises(ValueError, match=re.escape(f"Model.from_pretrained does not take {name}: {reason}")):
            keras_part.TFRobertaPreLayerNormModel.from_pretrained(tmp_path, **{name: "something"})
