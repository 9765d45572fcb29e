"""The examples of the published documentation, with our classes in place of theirs, on a converted folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from prenorm_model import (
    RobertaPreLayerNormConfig,
    RobertaPreLayerNormForCausalLM,
    RobertaPreLayerNormForMaskedLM,
    RobertaPreLayerNormForMultipleChoice,
    RobertaPreLayerNormForQuestionAnswering,
    RobertaPreLayerNormForSequenceClassification,
    RobertaPreLayerNormForTokenClassification,
    RobertaPreLayerNormModel,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*newly initialized.*")]


@pytest.fixture
def folder(converted: Callable[[str], Path]) -> Path:
    return converted("dinkytrain-mlm")


def test_configuration() -> None:
    configuration = RobertaPreLayerNormConfig()
    with torch.device("meta"):  # the default is a model of 124 million weights
        model = RobertaPreLayerNormModel(configuration)
    assert model.config is configuration
    documented = {
        "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
        "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "is_decoder": False, "add_cross_attention": False,
        "use_cache": True, "classifier_dropout": None, "tie_word_embeddings": True, "position_embedding_type": "absolute",
    }  # fmt: skip
    assert {key: getattr(configuration, key) for key in documented} == documented


def test_encoder(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = RobertaPreLayerNormModel.from_pretrained(folder)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    outputs = model(**inputs)
    assert outputs.last_hidden_state.shape == (1, inputs["input_ids"].shape[1], 48)


def test_causal_lm(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = RobertaPreLayerNormConfig.from_pretrained(folder)
    config.is_decoder = True
    model = RobertaPreLayerNormForCausalLM.from_pretrained(folder, config=config)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    prediction_logits = model(**inputs).logits
    assert prediction_logits.shape == (1, inputs["input_ids"].shape[1], 438)
    assert dataclasses.is_dataclass(model(**inputs))


def test_masked_lm(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = RobertaPreLayerNormForMaskedLM.from_pretrained(folder)
    inputs = tokenizer("The GNU General Public <mask>.", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    mask_token_index = (inputs.input_ids == tokenizer.mask_token_id)[0].nonzero(as_tuple=True)[0]
    predicted_token_id = logits[0, mask_token_index].argmax(axis=-1)
    assert tokenizer.decode(predicted_token_id) != ""
    labels = torch.where(inputs.input_ids == tokenizer.mask_token_id, predicted_token_id, -100)
    outputs = model(**inputs, labels=labels)
    best = logits[0, mask_token_index].log_softmax(-1).max()
    assert outputs.loss.item() == pytest.approx(-best.item(), abs=1e-5)


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])
def test_sequence_classification(problem_type: str | None, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options = {} if problem_type is None else {"problem_type": problem_type}
    model = RobertaPreLayerNormForSequenceClassification.from_pretrained(folder, **options)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    assert model.config.id2label[logits.argmax().item()].startswith("LABEL_")
    num_labels = len(model.config.id2label)
    model = RobertaPreLayerNormForSequenceClassification.from_pretrained(folder, num_labels=num_labels, **options)
    labels = torch.tensor([1]) if problem_type is None else torch.tensor([[0.0, 1.0]])
    assert model(**inputs, labels=labels).loss.item() > 0


def test_multiple_choice(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = RobertaPreLayerNormForMultipleChoice.from_pretrained(folder)
    prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    choices = ["It is eaten with a fork and a knife.", "It is eaten while held in the hand."]
    labels = torch.tensor(0).unsqueeze(0)
    encoding = tokenizer([prompt, prompt], choices, return_tensors="pt", padding=True)
    outputs = model(**{k: v.unsqueeze(0) for k, v in encoding.items()}, labels=labels)
    assert outputs.logits.shape == (1, 2)
    assert outputs.loss.item() > 0


def test_token_classification(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = RobertaPreLayerNormForTokenClassification.from_pretrained(folder)
    text = "HuggingFace is a company based in Paris and New York"
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    predicted_token_class_ids = logits.argmax(-1)
    classes = [model.config.id2label[t.item()] for t in predicted_token_class_ids[0]]
    assert len(classes) == inputs["input_ids"].shape[1]
    assert model(**inputs, labels=predicted_token_class_ids).loss.item() > 0


def test_question_answering(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = RobertaPreLayerNormForQuestionAnswering.from_pretrained(folder)
    inputs = tokenizer("Who was Jim Henson?", "Jim Henson was a nice puppet", return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    start, end = outputs.start_logits.argmax(), outputs.end_logits.argmax()
    assert isinstance(tokenizer.decode(inputs.input_ids[0, start : end + 1], skip_special_tokens=True), str)
    outputs = model(**inputs, start_positions=torch.tensor([14]), end_positions=torch.tensor([15]))
    assert outputs.loss.item() > 0
