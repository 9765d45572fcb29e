"""Keras' models compute what PyTorch's do: every class, every argument, every output, every gradient."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import ops

from helpers.keras_pairs import DTYPE, GRADIENT_LIMIT, LIMIT, as_arrays, differences, keras_pair, leaves
from helpers.keras_tools import gradients
from helpers.model_pairs import NAMES, SMALL, batch, inputs_for, labels_for

DECODER = {"is_decoder": True, "add_cross_attention": True}


def both(theirs: Any, ours: Any, **inputs: Any) -> tuple[Any, Any]:
    with torch.no_grad():
        return theirs(**inputs), ours(**as_arrays(inputs))


@pytest.mark.parametrize("dtype", sorted({"float32", DTYPE}))
@pytest.mark.parametrize("name", NAMES)
def test_every_class_with_padding_types_and_labels(name: str, dtype: str) -> None:
    theirs, ours = keras_pair(name, dtype)
    wanted, got = both(
        theirs, ours, **inputs_for(name), **labels_for(name), output_hidden_states=True, output_attentions=True,
        **({"use_cache": True} if "Causal" in name else {}),
    )  # fmt: skip
    found = differences(wanted, got)
    assert len(found) >= 6
    assert max(found.values()) <= LIMIT[dtype], found


@pytest.mark.parametrize(
    "changes",
    [
        {"position_embedding_type": "relative_key"},
        {"position_embedding_type": "relative_key_query", "is_decoder": True},
        {"hidden_act": "gelu_new", "model_type": "xlm-roberta-xl"},
        {"hidden_act": "relu2", "pad_token_id": 0},
        {"tie_word_embeddings": False, "hidden_act": "silu"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_every_kind_of_config(changes: dict[str, Any]) -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormForMaskedLM", **changes)
    wanted, got = both(theirs, ours, **inputs_for(""), **labels_for("MaskedLM"), output_hidden_states=True)
    assert max(differences(wanted, got).values()) <= LIMIT[DTYPE]


def test_embeddings_positions_and_masked_heads() -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormModel")
    _, mask = batch()
    generator = torch.Generator().manual_seed(2)
    embeds = torch.randn(3, 12, SMALL["hidden_size"], generator=generator, dtype=getattr(torch, DTYPE))
    for extra in (
        {},
        {"position_ids": torch.arange(12).flip(0)[None]},
        {"head_mask": torch.tensor([1.0, 0, 1, 0.5])},
        {"head_mask": torch.tensor([[1.0, 0, 1, 0.5], [0, 0, 1, 1]])},
        {"attention_mask": torch.tril(torch.ones(12, 12))[None].expand(3, 12, 12)},
        {"attention_mask": torch.randn(3, 4, 12, 12, generator=generator)},
        {"attention_mask": torch.zeros(3, 12, dtype=torch.int64)},
    ):
        inputs = {"inputs_embeds": embeds, "attention_mask": mask, **extra}
        assert max(differences(*both(theirs, ours, **inputs)).values()) <= LIMIT[DTYPE], extra


@pytest.mark.parametrize("left", [False, True])
def test_cache_and_cross_attention(left: bool) -> None:
    """What goes on from a cache is what the whole text gives, also behind pads."""
    theirs, ours = keras_pair("RobertaPreLayerNormForCausalLM", **DECODER)
    ids, mask = batch(left=left)
    generator = torch.Generator().manual_seed(3)
    cross = {
        "encoder_hidden_states": torch.randn(
            3, 7, SMALL["hidden_size"], generator=generator, dtype=getattr(torch, DTYPE)
        ),
        "encoder_attention_mask": torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [0] * 2 + [1] * 5]),
    }
    first = {"input_ids": ids[:, :8], "attention_mask": mask[:, :8], **cross}
    wanted, got = both(theirs, ours, **first, output_attentions=True)
    assert max(differences(wanted, got).values()) <= LIMIT[DTYPE]
    assert [len(layer) for layer in got.past_key_values] == [4, 4]
    second = {"input_ids": ids[:, 8:], "attention_mask": mask, **cross}
    with torch.no_grad():
        wanted = theirs(**second, past_key_values=wanted.past_key_values)
    got = ours(**as_arrays(second), past_key_values=got.past_key_values)
    assert max(differences(wanted, got).values()) <= LIMIT[DTYPE]
    whole = ours(**as_arrays({"input_ids": ids, "attention_mask": mask, **cross}), use_cache=False)
    assert whole.past_key_values is None
    rest = ops.convert_to_numpy(whole.logits)[:, 8:][mask[:, 8:].bool().numpy()]
    assert np.abs(rest - ops.convert_to_numpy(got.logits)[mask[:, 8:].bool().numpy()]).max() <= LIMIT[DTYPE]


def test_pads_left_out_change_nothing() -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormModel")
    inputs = inputs_for("")
    plain = ours(**as_arrays(inputs), output_hidden_states=True, every_position=True)
    ours.min_pads = 1
    packed = ours(**as_arrays(inputs), output_hidden_states=True)
    real = inputs["attention_mask"].bool().numpy()
    for (name, wanted), (_, got) in zip(leaves("", plain.hidden_states), leaves("", packed.hidden_states), strict=True):
        assert np.abs((wanted - got)[real]).max() <= LIMIT[DTYPE], name
        assert (got[~real] == 0).all(), name
    theirs.min_pads = 1
    assert max(differences(*both(theirs, ours, **inputs)).values()) <= LIMIT[DTYPE]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_every_parameter(name: str) -> None:
    changes = DECODER if "Causal" in name else {"tie_word_embeddings": "Masked" in name}
    theirs, ours = keras_pair(name, **changes)
    inputs, labels = inputs_for(name), labels_for(name)
    if "Causal" in name:
        inputs["encoder_hidden_states"] = (
            torch.ones(3, 5, SMALL["hidden_size"], dtype=getattr(torch, DTYPE)).cumsum(1) / 9
        )
    output = theirs(**inputs, **labels)
    (output.loss if labels else output.pooler_output.square().mean()).backward()

    def loss(model: Any) -> Any:
        computed = model(**as_arrays({**inputs, **labels}))
        return ops.mean(computed.loss if labels else ops.square(computed.pooler_output))

    got = gradients(ours, loss)
    for key, parameter in theirs.saved_parameters().items():
        wanted = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
        assert (np.abs(wanted - got[key]) <= GRADIENT_LIMIT[DTYPE] * np.maximum(1, np.abs(wanted))).all(), key


@pytest.mark.parametrize(
    ("problem", "labels"),
    [
        ("regression", np.array([[0.5, 1, 2], [1, 0, 3], [2, 2, 2.0]])),
        ("multi_label_classification", np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1.0]])),
        ("single_label_classification", np.array([[2], [-100], [0]])),
        (None, np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1.0]])),
    ],
)
def test_losses_of_sequence_classification(problem: str | None, labels: Any) -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormForSequenceClassification", problem_type=problem)
    wanted, got = both(theirs, ours, **inputs_for(""), labels=torch.tensor(labels))
    assert got.loss.shape == (3,)
    assert max(differences(wanted, got).values()) <= LIMIT[DTYPE]


def test_the_loss_of_one_number_is_that_of_each_row() -> None:
    _, ours = keras_pair("RobertaPreLayerNormForSequenceClassification", num_labels=1)
    wanted = np.array([0.5, 1.0, 2.0])
    output = ours(**as_arrays(inputs_for("")), labels=wanted)
    logits = ops.convert_to_numpy(output.logits)[:, 0]
    assert np.abs(ops.convert_to_numpy(output.loss) - (logits - wanted) ** 2).max() <= LIMIT[DTYPE]


def test_dropout_is_at_work_in_training_alone() -> None:
    _, ours = keras_pair("RobertaPreLayerNormForMaskedLM")
    inputs = as_arrays(inputs_for(""))
    still = [ops.convert_to_numpy(ours(inputs).logits) for _ in range(2)]
    assert (still[0] == still[1]).all()
    moved = [ops.convert_to_numpy(ours(inputs, training=True).logits) for _ in range(2)]
    assert np.abs(moved[0] - moved[1]).max() > 0.01
    assert keras.config.dtype_policy().name == "float32"  # what a model is made with does not stay
