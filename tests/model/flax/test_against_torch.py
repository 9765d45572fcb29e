"""Flax' models compute what PyTorch's do: every class, every argument, every output, every gradient.

Outside jit: operations are compiled one by one, once for all tests, which costs less than a function for each.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import torch
from jax import numpy as jnp

from helpers.flax_pairs import as_arrays, compiled, differences, flax_pair, loss_of, named_of
from helpers.model_pairs import NAMES, SMALL, batch, inputs_for, labels_for

DECODER = {"is_decoder": True, "add_cross_attention": True}
EVERYTHING = {"output_hidden_states": True, "output_attentions": True}


@pytest.mark.parametrize("name", NAMES)
def test_every_class_in_float64_and_every_gradient(name: str) -> None:
    theirs, ours = flax_pair(name, **({"num_labels": 2} if "Question" in name else {}))
    inputs, labels = inputs_for(name), labels_for(name)
    options = {"use_cache": False} if "Causal" in name else {}
    wanted = theirs(**inputs, **labels, **EVERYTHING, **options)
    loss = wanted.loss if "loss" in wanted else (wanted[0] ** 2).mean() + wanted.pooler_output.sum()
    loss.backward()
    compute = loss_of(name, ours.config)
    targets = as_arrays(labels)

    def forward(params: Any) -> Any:
        output = ours(**as_arrays(inputs), params=params, **EVERYTHING)
        return compute(output, targets), output

    (value, output), gradients = jax.value_and_grad(forward, has_aux=True)(ours.params)
    apart = differences(wanted, output)
    assert len(apart) >= 6
    assert max(apart.values()) <= 1e-10, apart
    assert abs(float(value) - loss.item()) <= 1e-10
    computed = named_of(gradients)
    expected = {key: item.grad for key, item in theirs.saved_parameters().items()}
    assert computed.keys() == expected.keys()
    for key, gradient in expected.items():
        zero = np.zeros(computed[key].shape)
        assert np.abs(computed[key] - (zero if gradient is None else gradient.numpy())).max() <= 1e-9, key


@pytest.mark.parametrize("name", NAMES)
def test_every_class_in_float32(name: str) -> None:
    theirs, ours = flax_pair(name, "float32")
    options = {"use_cache": False} if "Causal" in name else {}
    with torch.no_grad():
        wanted = theirs(**inputs_for(name), **options)
    output = ours(**as_arrays(inputs_for(name)))
    assert output[0].dtype == jnp.float32
    assert max(differences(wanted, output).values()) <= 1e-5


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
    theirs, ours = flax_pair("RobertaPreLayerNormForMaskedLM", **changes)
    options = {"use_cache": False} if "is_decoder" in changes else {}
    with torch.no_grad():
        wanted = theirs(**inputs_for(""), **EVERYTHING, **options)
    output = ours(**as_arrays(inputs_for("")), **EVERYTHING)
    assert max(differences(wanted, output).values()) <= 1e-10


@pytest.mark.parametrize(
    "extra",
    [
        {"position_ids": torch.arange(12).flip(0)[None]},
        {"head_mask": torch.tensor([1.0, 0, 1, 0.5])},
        {"head_mask": torch.tensor([[1.0, 0, 1, 0.5], [0, 0, 1, 1]])},
        {"attention_mask": torch.tril(torch.ones(12, 12))[None].expand(3, 12, 12)},
        {"attention_mask": torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1))},
        {"attention_mask": torch.zeros(3, 12, dtype=torch.int64)},
        {"attention_mask": None, "token_type_ids": None},
    ],
    ids=lambda extra: "-".join(f"{key}{'' if item is None else list(item.shape)}" for key, item in extra.items()),
)
def test_every_argument(extra: dict[str, Any]) -> None:
    theirs, ours = flax_pair("RobertaPreLayerNormModel")
    inputs = {key: item for key, item in {**inputs_for(""), **extra}.items() if item is not None}
    with torch.no_grad():
        wanted = theirs(**inputs)
    output = ours(**as_arrays(inputs))
    assert max(differences(wanted, output).values()) <= 1e-10


@pytest.mark.parametrize("left", [False, True])
def test_cache_and_cross_attention(left: bool) -> None:
    """What goes on from a cache is what the whole text gives, also behind pads; the cache is one size, and one function."""
    theirs, ours = flax_pair("RobertaPreLayerNormForCausalLM", **DECODER)
    ids, mask = batch(left=left)
    generator = torch.Generator().manual_seed(3)
    cross = {
        "encoder_hidden_states": torch.randn(3, 5, SMALL["hidden_size"], generator=generator, dtype=torch.float64),
        "encoder_attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]),
    }
    with torch.no_grad():
        wanted = theirs(ids, mask, use_cache=False, **cross, **EVERYTHING)
    whole = compiled(ours, **EVERYTHING)(ours.params, as_arrays({"input_ids": ids, "attention_mask": mask, **cross}))
    assert max(differences(wanted, whole).values()) <= 1e-10
    room = np.ones((3, 16), np.int32)
    room[:, :12] = mask
    past, scores = ours.init_cache(3, 16), []
    for start, end in ((0, 5), (5, 6), (6, 7), (7, 12)):
        arrays = {"input_ids": ids[:, start:end].numpy(), "attention_mask": room, "past_key_values": past}
        output = ours(**arrays, **as_arrays(cross))
        past = output.past_key_values
        scores.append(output.logits)
    assert int(past["length"]) == 12
    apart = np.abs(np.concatenate(scores, axis=1) - wanted.logits.numpy())[mask.numpy() == 1]
    assert apart.max() <= 1e-10


def test_generating_step_by_step() -> None:
    theirs, ours = flax_pair("RobertaPreLayerNormForCausalLM")
    ids, mask = batch(left=True)
    with torch.no_grad():
        expected = theirs.generate(ids, attention_mask=mask, max_new_tokens=4, do_sample=False, eos_token_id=None)
    arrays = ours.prepare_inputs_for_generation(jnp.asarray(ids.numpy()), 16, jnp.asarray(mask.numpy()))
    step, tokens = compiled(ours), jnp.asarray(ids.numpy())
    for _ in range(4):
        output = step(ours.params, {"input_ids": tokens if tokens.shape[1] == 12 else tokens[:, -1:], **arrays})
        arrays = ours.update_inputs_for_generation(output, arrays)
        tokens = jnp.concatenate([tokens, output.logits[:, -1:].argmax(-1)], axis=1)
    assert np.array_equal(tokens, expected)
