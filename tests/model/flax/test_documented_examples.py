"""The examples of the published documentation of the Flax classes, with ours in place of theirs, on a converted folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from prenorm_model import flax as flax_part
from prenorm_model.flax import FlaxRobertaPreLayerNormForMaskedLM, FlaxRobertaPreLayerNormForMultipleChoice

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*newly initialized.*")]

# transformers 5 makes no arrays of JAX; the documentation's `return_tensors="jax"` is, to a model, the same as numpy's.
SHAPES = {
    "FlaxRobertaPreLayerNormModel": ("last_hidden_state", (1, None, 48)),
    "FlaxRobertaPreLayerNormForCausalLM": ("logits", (1, None, 438)),
    "FlaxRobertaPreLayerNormForSequenceClassification": ("logits", (1, 2)),
    "FlaxRobertaPreLayerNormForTokenClassification": ("logits", (1, None, 2)),
}


@pytest.fixture
def folder(converted: Callable[[str], Path]) -> Path:
    return converted("dinkytrain-mlm")


@pytest.mark.parametrize("name", SHAPES)
def test_a_sentence(name: str, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = getattr(flax_part, name).from_pretrained(folder)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="np")
    outputs = model(**inputs)
    field, shape = SHAPES[name]
    length = inputs["input_ids"].shape[1]
    assert outputs[field].shape == tuple(length if size is None else size for size in shape)
    assert outputs[field] is outputs[0]


def test_masked_lm(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = FlaxRobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    inputs = tokenizer("The GNU General Public <mask>.", return_tensors="np")
    logits = model(**inputs).logits
    place = int((inputs["input_ids"][0] == tokenizer.mask_token_id).argmax())
    assert tokenizer.decode(int(logits[0, place].argmax())) != ""


def test_multiple_choice(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = FlaxRobertaPreLayerNormForMultipleChoice.from_pretrained(folder)
    prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    choices = ["It is eaten with a fork and a knife.", "It is eaten while held in the hand."]
    encoding = tokenizer([prompt, prompt], choices, return_tensors="np", padding=True)
    outputs = model(**{key: value[None, :] for key, value in encoding.items()})
    assert outputs.logits.shape == (1, 2)


def test_question_answering(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = flax_part.FlaxRobertaPreLayerNormForQuestionAnswering.from_pretrained(folder)
    inputs = tokenizer("Who was Jim Henson?", "Jim Henson was a nice puppet", return_tensors="np")
    outputs = model(**inputs)
    assert outputs.start_logits.shape == outputs.end_logits.shape == inputs["input_ids"].shape
    assert np.isfinite(outputs.start_logits).all()
