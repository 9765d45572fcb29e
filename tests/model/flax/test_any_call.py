"""Any config, any arguments, any types: Flax' model gives what PyTorch's gives.

The sizes stay the same, so that every operation is compiled once for all that is drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import numpy as jnp

from helpers.flax_pairs import differences, flax_pair
from prenorm_model.config import ACTIVATIONS

ROWS, LENGTH, ENCODER_LENGTH, WIDTH, HEADS, VOCABULARY = 2, 6, 4, 8, 2, 11
CONFIGS = st.fixed_dictionaries({
    "num_hidden_layers": st.integers(1, 2),
    "pad_token_id": st.integers(0, 3),
    "hidden_act": st.sampled_from(ACTIVATIONS),
    "position_embedding_type": st.sampled_from(["absolute", "absolute", "relative_key", "relative_key_query"]),
    "is_decoder": st.booleans(),
    "tie_word_embeddings": st.booleans(),
    "model_type": st.sampled_from(["roberta-prelayernorm", "xlm-roberta-xl"]),
})  # fmt: skip
MASKS = ("none", "pads", "queries", "heads", "scores")
FORMS = ("int64", "int32", "uint8", "jax", "list")
CALLS = st.fixed_dictionaries({
    "mask": st.sampled_from(MASKS),
    "form": st.sampled_from(FORMS),
    "types": st.booleans(),
    "positions": st.booleans(),
    "heads": st.booleans(),
    "crosses": st.booleans(),
    "packs": st.booleans(),
    "keeps": st.booleans(),
    "seed": st.integers(0, 999),
})  # fmt: skip


def mask_of(kind: str, generator: np.random.Generator) -> np.ndarray | None:
    """A mask by which every query may look at itself, so that every output means something."""
    if kind == "none":
        return None
    if kind == "pads":
        return np.arange(LENGTH)[None] < generator.integers(1, LENGTH + 1, (ROWS, 1))
    if kind == "scores":
        return generator.standard_normal((ROWS, 1, LENGTH, LENGTH))
    shape = (ROWS, LENGTH, LENGTH) if kind == "queries" else (1, HEADS, LENGTH, LENGTH)
    return (generator.random(shape) < 0.5) | np.eye(LENGTH, dtype=bool)


def inputs_of(config: dict[str, Any], call: dict[str, Any]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(call["seed"])
    inputs: dict[str, Any] = {"input_ids": generator.integers(0, VOCABULARY, (ROWS, LENGTH))}
    mask = mask_of(call["mask"], generator)
    if mask is not None:
        inputs["attention_mask"] = mask if mask.dtype == float else mask.astype("int64")
    if call["types"]:
        inputs["token_type_ids"] = generator.integers(0, 2, (ROWS, LENGTH))
    if call["positions"]:
        inputs["position_ids"] = generator.integers(0, 12, (ROWS, LENGTH))
    if call["heads"]:
        inputs["head_mask"] = generator.random((config["num_hidden_layers"], HEADS))
    if call["crosses"] and config["is_decoder"]:
        inputs["encoder_hidden_states"] = generator.standard_normal((ROWS, ENCODER_LENGTH, WIDTH))
        inputs["encoder_attention_mask"] = np.arange(ENCODER_LENGTH)[None] < generator.integers(1, 5, (ROWS, 1))
    return inputs


def in_form(value: np.ndarray, form: str) -> Any:
    """An argument as a caller may have it: of another integer type, of JAX, or as lists."""
    if form == "list":
        return value.tolist()
    if form == "jax":
        return jnp.asarray(value)
    return value.astype(form) if value.dtype == np.int64 else value


PACKED = {"mask": "pads", "form": "jax", "types": True, "positions": False, "heads": True, "crosses": False, "packs": True,
          "keeps": False, "seed": 1}  # fmt: skip
PLAIN = {"num_hidden_layers": 2, "pad_token_id": 1, "hidden_act": "gelu", "position_embedding_type": "absolute",
         "is_decoder": False, "tie_word_embeddings": True, "model_type": "roberta-prelayernorm"}  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(CONFIGS, CALLS)
@example(PLAIN, PACKED)
@example({**PLAIN, "is_decoder": True}, {**PACKED, "crosses": True, "keeps": True, "mask": "queries"})
def test_any_call(config: dict[str, Any], call: dict[str, Any]) -> None:
    theirs, ours = flax_pair(
        "RobertaPreLayerNormForCausalLM" if config["is_decoder"] else "RobertaPreLayerNormForMaskedLM",
        hidden_size=WIDTH, num_attention_heads=HEADS, intermediate_size=5, vocab_size=VOCABULARY,
        max_position_embeddings=12, add_cross_attention=config["is_decoder"], **config,
    )  # fmt: skip
    inputs = inputs_of(config, call)
    options = {"output_hidden_states": True, "output_attentions": call["keeps"]}
    with torch.no_grad():
        wanted = theirs(
            **{name: torch.tensor(value) for name, value in inputs.items()}, **options,
            **({"use_cache": False} if config["is_decoder"] else {}),
        )  # fmt: skip
    real = inputs["attention_mask"] == 1 if call["mask"] == "pads" else np.ones((ROWS, LENGTH), bool)
    if call["packs"]:
        ours.min_pads, options["real_tokens"] = 0, int(real.sum())
    got = ours(**{name: in_form(value, call["form"]) for name, value in inputs.items()}, **options)
    if call["mask"] == "pads":  # elsewhere nothing is meant
        for output in (wanted, got):
            output["logits"] = np.asarray(output.logits)[real]
            output["hidden_states"] = tuple(np.asarray(state)[real] for state in output.hidden_states)
            if call["keeps"]:
                output["attentions"] = tuple(np.asarray(item).swapaxes(1, 2)[real] for item in output.attentions)
                crossing = output.get("cross_attentions")
                if crossing is not None:
                    output["cross_attentions"] = tuple(np.asarray(item).swapaxes(1, 2)[real] for item in crossing)
    apart = differences(wanted, got)
    assert max(apart.values()) <= 1e-10, apart
