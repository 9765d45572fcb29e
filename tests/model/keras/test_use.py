"""What people do with a Keras model: train it, compile it, put it into another, write it and load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import ops

import prenorm_model
from helpers.keras_pairs import DTYPE, GRADIENT_LIMIT, LIMIT, as_arrays, keras_pair
from helpers.keras_tools import compiled
from helpers.model_pairs import NAMES, inputs_for, labels_for, settings
from prenorm_model import keras as keras_part

MASKED, CAUSAL, SEQUENCE, SPAN = (
    f"RobertaPreLayerNormFor{part}" for part in ("MaskedLM", "CausalLM", "SequenceClassification", "QuestionAnswering")
)
STILL: dict[str, Any] = {"num_hidden_layers": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
INPUTS = as_arrays(inputs_for(""))


def logits(net: Any, inputs: dict[str, Any] = INPUTS) -> Any:
    return ops.convert_to_numpy(net(inputs).logits)


def step(theirs: Any, rate: float, **arguments: Any) -> float:
    """Train PyTorch's model by one step of gradient descent; return the loss before."""
    loss = theirs(**arguments).loss
    loss.backward()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter -= rate * parameter.grad
    return float(loss.detach())


@pytest.mark.parametrize("place", ["y", "inputs", "compiled"])
@pytest.mark.parametrize("name", [MASKED, CAUSAL, SEQUENCE, SPAN])
def test_fit_takes_the_step_that_torch_takes(name: str, place: str) -> None:
    theirs, ours = keras_pair(name, **STILL)
    labels = labels_for(name)
    if name == SPAN:
        labels = {"start_positions": torch.tensor([1, 3, 5]), "end_positions": torch.tensor([4, 7, 6])}
    arrays, loss = as_arrays(labels), None
    if place == "compiled":
        if name in (MASKED, CAUSAL):
            return  # what a loss of Keras makes of -100, and of labels that are shifted, is not the model's
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ours.compile(keras.optimizers.SGD(0.1), loss=loss)
    y = tuple(arrays.values()) if name == SPAN else arrays["labels"]
    data = ({**INPUTS, **arrays},) if place == "inputs" else (INPUTS, y)
    history = ours.fit(*data, batch_size=3, epochs=1, verbose=0).history["loss"]
    # Keras adds the losses of two outputs, where the model takes their mean.
    factor = 2 if (name, place) == (SPAN, "compiled") else 1
    wanted = step(theirs, 0.1 * factor, **inputs_for(""), **labels)
    assert abs(history[0] - factor * wanted) <= max(LIMIT[DTYPE], 1e-5)  # Keras adds losses up in float32
    limit = max(GRADIENT_LIMIT[DTYPE], 1e-7 if place == "compiled" else 0)  # its losses, too
    for key, weight in ours.named_weights().items():
        value = ops.convert_to_numpy(weight.variable.value)
        value = value.T if weight.is_transposed else value
        assert np.abs(value - theirs.get_parameter(key).detach().numpy()).max() <= limit, key


def test_metrics_compare_logits_with_labels() -> None:
    _, ours = keras_pair(SEQUENCE, **STILL)
    labels = np.array([0, 1, 2])
    right = float((logits(ours).argmax(axis=1) == labels).mean())
    ours.compile("sgd", metrics=[keras.metrics.SparseCategoricalAccuracy(name="right")])
    for data in ((INPUTS, labels), ({**INPUTS, "labels": labels},)):
        assert ours.evaluate(*data, verbose=0, return_dict=True)["right"] == pytest.approx(right)


def test_what_fit_cannot_do_is_said() -> None:
    config = prenorm_model.RobertaPreLayerNormConfig(**{**settings(MASKED), **STILL})
    labels = as_arrays(labels_for(MASKED))["labels"]
    cases: list[tuple[str, dict[str, Any], str]] = [
        (MASKED, {}, "there are no labels: pass them to fit as y, or as labels among the inputs"),
        (MASKED, {"y": labels, "sample_weight": np.ones(3)}, "takes no sample_weight"),
        (MASKED, {"y": {"label": labels}}, "the labels are named label; they must be labels"),
        (MASKED, {"y": (labels, labels)}, "there are 2 arrays of labels; they must be labels"),
        (NAMES[0], {}, "TFRobertaPreLayerNormModel has no loss of its own"),
    ]
    for name, data, message in cases:
        net = getattr(keras_part, f"TF{name}")(config)
        net.compile("sgd", run_eagerly=True)
        with pytest.raises(ValueError, match=message):
            net.fit(INPUTS, **data, verbose=0)


@pytest.mark.parametrize("name", NAMES)
def test_predict_gives_the_outputs_of_all_batches(name: str) -> None:
    _, ours = keras_pair(name, num_hidden_layers=1)
    inputs = as_arrays(inputs_for(name))
    direct, predicted = ours(inputs), ours.predict(inputs, batch_size=2, verbose=0)
    assert type(predicted) is type(direct)
    assert list(predicted) == list(direct)
    for got, wanted in zip(keras.tree.flatten(predicted), keras.tree.flatten(direct), strict=True):
        assert np.abs(got - ops.convert_to_numpy(wanted)).max() <= LIMIT[DTYPE]


@pytest.mark.parametrize("jit", [False, True])
def test_a_compiled_model_computes_the_same(jit: bool) -> None:
    _, ours = keras_pair(CAUSAL, num_hidden_layers=1)
    function = compiled(lambda inputs: ours(inputs, use_cache=True), jit=jit)
    arrays = {name: ops.convert_to_tensor(value) for name, value in INPUTS.items()}
    first, direct = function(arrays), ours(INPUTS, use_cache=True)
    assert type(first) is type(direct)
    for got, wanted in zip(keras.tree.flatten(first), keras.tree.flatten(direct), strict=True):
        assert np.abs(ops.convert_to_numpy(got) - ops.convert_to_numpy(wanted)).max() <= LIMIT[DTYPE]


def test_a_part_of_a_functional_model() -> None:
    _, ours = keras_pair(MASKED, num_hidden_layers=1)
    symbols = {name: keras.Input((None,), dtype="int32", name=name) for name in INPUTS}
    whole = keras.Model(symbols, ops.max(ours(symbols).logits, axis=1))
    assert np.abs(whole.predict(INPUTS, verbose=0) - logits(ours).max(axis=1)).max() <= LIMIT[DTYPE]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy: str) -> None:
    theirs, _ = keras_pair(SEQUENCE, "float32", **STILL)
    ours = keras_part.TFRobertaPreLayerNormForSequenceClassification(theirs.config, dtype=policy)
    for key, weight in ours.named_weights().items():
        value = theirs.get_parameter(key).detach().numpy() / 4
        weight.variable.assign(value.T if weight.is_transposed else value)
    full = keras_part.TFRobertaPreLayerNormForSequenceClassification(theirs.config)
    full.set_weights(ours.get_weights())
    assert np.abs(logits(ours).astype("float32") - logits(full)).max() <= 0.02 < np.abs(logits(full)).max()
    ours.compile(keras.optimizers.SGD(0.05))
    losses = ours.fit(INPUTS, np.array([0, 1, 2]), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_regression_labels_are_not_rounded_to_half() -> None:
    config = keras_pair(SEQUENCE, "float32", num_labels=1, **STILL)[0].config
    ours = keras_part.TFRobertaPreLayerNormForSequenceClassification(config, dtype="mixed_bfloat16")
    labels = np.array([1000.5, 2000.25, 3000.125], dtype="float32")
    output = ours(INPUTS, labels=labels)
    wanted = (ops.convert_to_numpy(ops.cast(output.logits, "float32"))[:, 0] - labels) ** 2
    assert np.allclose(ops.convert_to_numpy(output.loss), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_keras_file_gives_the_model_back(name: str, tmp_path: Path) -> None:
    _, ours = keras_pair(name, num_hidden_layers=1)
    inputs = as_arrays(inputs_for(name))
    ours.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(ours)
    assert again.config == ours.config
    assert again.dtype_policy.name == DTYPE
    for got, wanted in zip(keras.tree.flatten(again(inputs)), keras.tree.flatten(ours(inputs)), strict=True):
        assert np.array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(wanted))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras writes no SavedModel with PyTorch")
@pytest.mark.parametrize("name", [MASKED, "RobertaPreLayerNormForMultipleChoice"])
def test_an_exported_model(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    _, ours = keras_pair(name, "float32", num_hidden_layers=1)
    inputs = as_arrays(inputs_for(name))
    del inputs["token_type_ids"]
    if keras.backend.backend() == "jax":  # which exports one length
        inputs = {
            key: np.pad(value, [(0, 0)] * (value.ndim - 1) + [(0, 22 - 12)], constant_values=int(key == "input_ids"))
            for key, value in inputs.items()
        }
    if keras.backend.backend() == "jax" and "Choice" in name:
        with pytest.raises(ValueError, match="input_signature"):
            ours.export(tmp_path, verbose=False)
        return
    ours.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    served = loaded.serve({key: tf.constant(value, tf.int32) for key, value in inputs.items()})
    assert np.abs(served["logits"].numpy() - logits(ours, inputs)).max() <= LIMIT["float32"]


def test_every_documented_form_of_inputs() -> None:
    _, ours = keras_pair(MASKED, num_hidden_layers=1)
    ids, mask, types = (INPUTS[name] for name in ("input_ids", "attention_mask", "token_type_ids"))
    wanted = logits(ours)
    for args, named in (
        (([ids, mask, types],), {}),
        (((ids, mask, types),), {}),
        ((ids, mask, types), {}),
        ((ids,), {"attention_mask": mask, "token_type_ids": types}),
        (([ids, mask],), {"token_type_ids": types}),
        ((), INPUTS),
        (({**INPUTS, "labels": None},), {}),
        (({key: value.tolist() for key, value in INPUTS.items()},), {}),
    ):
        assert np.array_equal(ops.convert_to_numpy(ours(*args, **named).logits), wanted)
    alone = ops.convert_to_numpy(ours(ids).logits)
    assert np.array_equal(ops.convert_to_numpy(ours([ids]).logits), alone)
    assert not np.array_equal(alone, wanted)
    given = ours(ids, mask, types, return_dict=False, labels=ids)
    assert isinstance(given, tuple)
    assert np.array_equal(ops.convert_to_numpy(given[1]), wanted)
    assert ops.shape(given[0]) == (1,)
    assert prenorm_model.TFRobertaPreLayerNormForMaskedLM is type(ours)
