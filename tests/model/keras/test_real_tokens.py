"""Graphs that are told how many tokens are no pads: computed without them, with the same outputs and gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from helpers.keras_pairs import LIMIT, as_arrays, keras_pair
from helpers.model_pairs import SMALL, inputs_for
from prenorm_model.keras.packing import Packing

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's graphs and XLA")


def tensors() -> dict[str, Any]:
    return {name: tf.constant(value, tf.int32) for name, value in as_arrays(inputs_for("")).items()}


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("spare", [0, 1])
def test_a_graph_computes_real_tokens_alone(xla: bool, spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ours = keras_pair("RobertaPreLayerNormForMaskedLM")
    inputs = tensors()
    real = ops.convert_to_numpy(inputs["attention_mask"]) == 1
    plain = ours(inputs).logits.numpy()
    ours.roberta_prelayernorm.min_pads = 1
    ours.real_tokens = int(real.sum()) + spare
    sizes = []
    pack = Packing.pack
    monkeypatch.setattr(Packing, "pack", lambda self, x: sizes.append((packed := pack(self, x)).shape[0]) or packed)
    graph = tf.function(lambda inputs: ours(inputs).logits, jit_compile=xla, autograph=False)
    got = graph(inputs).numpy()
    assert np.abs(got - plain)[real].max() <= LIMIT["float64"]
    assert set(sizes) == {ours.real_tokens} and len(sizes) >= 3 + SMALL["num_hidden_layers"]


def test_gradients_are_the_same_and_too_many_tokens_give_no_numbers() -> None:
    _, ours = keras_pair("RobertaPreLayerNormForTokenClassification")
    inputs = tensors()
    real = ops.convert_to_numpy(inputs["attention_mask"]) == 1
    labels = tf.constant(np.where(real, 1, -100))

    @tf.function(autograph=False)
    def gradients(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(ours(inputs, labels=labels).loss)
        return tape.gradient(loss, [variable.value for variable in ours.trainable_variables])

    wanted = gradients(inputs)
    ours.roberta_prelayernorm.min_pads = 1
    ours.real_tokens = int(real.sum())
    got = tf.function(gradients.python_function, autograph=False)(inputs)
    for one, other in zip(wanted, got, strict=True):
        assert np.abs(tf.convert_to_tensor(one) - tf.convert_to_tensor(other)).max() <= 1e-9
    ours.real_tokens = int(real.sum()) - 5
    assert np.isnan(tf.function(lambda inputs: ours(inputs).logits, autograph=False)(inputs)).all()
    with pytest.raises(ValueError, match="real_tokens is 0; it must be at least 1"):
        ours.real_tokens = 0
    assert ours.roberta_prelayernorm.real_tokens == int(real.sum()) - 5
