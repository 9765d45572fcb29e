"""The published documentation of TensorFlow's classes: arguments in order, and its examples on a converted folder."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from transformers import AutoTokenizer

from helpers.documentation import FACTS
from prenorm_model import (
    TFRobertaPreLayerNormForCausalLM,
    TFRobertaPreLayerNormForMaskedLM,
    TFRobertaPreLayerNormForMultipleChoice,
    TFRobertaPreLayerNormForQuestionAnswering,
    TFRobertaPreLayerNormForSequenceClassification,
    TFRobertaPreLayerNormForTokenClassification,
    TFRobertaPreLayerNormModel,
)
from prenorm_model import (
    keras as keras_part,
)

DOCUMENTED = {
    name: facts["forward"]
    for name, facts in json.loads(FACTS.read_text("utf-8"))["4.34"].items()
    if name.startswith("TF")
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_arguments_are_the_documented_ones_in_order(name: str) -> None:
    parameters = [*inspect.signature(getattr(keras_part, name).call).parameters.values()][1:]
    found = [[item.name, str(item.default)] for item in parameters]
    assert found[: len(DOCUMENTED[name])] == DOCUMENTED[name]
    assert [item for item, _ in found[len(DOCUMENTED[name]) :]] in ([], ["every_position"])


def test_every_class_is_documented() -> None:
    assert sorted(DOCUMENTED) == sorted(keras_part.__all__)
    assert len(DOCUMENTED) == 7


@pytest.fixture
def folder(converted: Callable[[str], Path]) -> Path:
    return converted("dinkytrain-mlm")


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*newly initialized.*", "ignore:is_decoder is False")
def test_the_examples_run(folder: Path, tokenizer: Any) -> None:
    """As they stand but for the folder, the texts, and `return_tensors`, of which transformers 5 has no "tf"."""
    model = TFRobertaPreLayerNormModel.from_pretrained(folder)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="np")
    outputs = model(inputs)
    assert outputs.last_hidden_state.shape == (1, inputs["input_ids"].shape[1], 48)

    model = TFRobertaPreLayerNormForCausalLM.from_pretrained(folder)
    outputs = model(inputs)
    assert outputs.logits.shape[-1] == 438

    model = TFRobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    inputs = tokenizer("The GNU General Public <mask>.", return_tensors="np")
    logits = model(**inputs).logits
    mask_token_index = tf.where((inputs.input_ids == tokenizer.mask_token_id)[0])
    selected_logits = tf.gather_nd(logits[0], indices=mask_token_index)
    predicted_token_id = tf.math.argmax(selected_logits, axis=-1)
    assert tokenizer.decode(predicted_token_id) != ""
    labels = tf.where(inputs.input_ids == tokenizer.mask_token_id, predicted_token_id, -100)
    outputs = model(**inputs, labels=labels)
    best = float(tf.reduce_max(tf.nn.log_softmax(selected_logits)))
    assert float(outputs.loss[0]) == pytest.approx(-best, abs=1e-5)

    inputs = tokenizer("Hello, my dog is cute", return_tensors="np")
    model = TFRobertaPreLayerNormForSequenceClassification.from_pretrained(folder)
    logits = model(**inputs).logits
    predicted_class_id = int(tf.math.argmax(logits, axis=-1)[0])
    assert model.config.id2label[predicted_class_id].startswith("LABEL_")
    num_labels = len(model.config.id2label)
    model = TFRobertaPreLayerNormForSequenceClassification.from_pretrained(folder, num_labels=num_labels)
    labels = tf.constant(1)
    assert float(model(**inputs, labels=tf.reshape(labels, (1,))).loss[0]) > 0

    model = TFRobertaPreLayerNormForMultipleChoice.from_pretrained(folder)
    prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    choices = ["It is eaten with a fork and a knife.", "It is eaten while held in the hand."]
    encoding = tokenizer([prompt, prompt], choices, return_tensors="np", padding=True)
    inputs = {k: tf.expand_dims(v, 0) for k, v in encoding.items()}
    outputs = model(inputs)
    assert outputs.logits.shape == (1, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*newly initialized.*")
def test_the_examples_of_tokens_and_spans_run(folder: Path, tokenizer: Any) -> None:
    model = TFRobertaPreLayerNormForTokenClassification.from_pretrained(folder)
    text = "HuggingFace is a company based in Paris and New York"
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="np")
    logits = model(**inputs).logits
    predicted_token_class_ids = tf.math.argmax(logits, axis=-1)
    classes = [model.config.id2label[t] for t in predicted_token_class_ids[0].numpy().tolist()]
    assert len(classes) == inputs["input_ids"].shape[1]
    labels = predicted_token_class_ids
    assert float(tf.math.reduce_mean(model(**inputs, labels=labels).loss)) > 0

    model = TFRobertaPreLayerNormForQuestionAnswering.from_pretrained(folder)
    inputs = tokenizer("Who was Jim Henson?", "Jim Henson was a nice puppet", return_tensors="np")
    outputs = model(**inputs)
    answer_start_index = int(tf.math.argmax(outputs.start_logits, axis=-1)[0])
    answer_end_index = int(tf.math.argmax(outputs.end_logits, axis=-1)[0])
    predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
    assert isinstance(tokenizer.decode(predict_answer_tokens), str)
    target_start_index = tf.constant([14])
    target_end_index = tf.constant([15])
    outputs = model(**inputs, start_positions=target_start_index, end_positions=target_end_index)
    assert float(tf.math.reduce_mean(outputs.loss)) > 0
