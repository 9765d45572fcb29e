"""Any config, any arguments, any form: Keras' model gives what PyTorch's gives, or both refuse in the same words."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.keras_pairs import DTYPE, LIMIT, differences, keras_pair
from prenorm_model.config import ACTIVATIONS

pytestmark = pytest.mark.slow

CONFIGS = st.fixed_dictionaries({
    "num_hidden_layers": st.integers(1, 2),
    "num_attention_heads": st.sampled_from([1, 2, 4]),
    "hidden_size": st.sampled_from([8, 12]),
    "intermediate_size": st.integers(1, 9),
    "vocab_size": st.integers(5, 12),
    "pad_token_id": st.integers(0, 3),
    "type_vocab_size": st.integers(1, 3),
    "hidden_act": st.sampled_from(ACTIVATIONS),
    "position_embedding_type": st.sampled_from(["absolute", "absolute", "relative_key", "relative_key_query"]),
    "is_decoder": st.booleans(),
    "tie_word_embeddings": st.booleans(),
    "model_type": st.sampled_from(["roberta-prelayernorm", "xlm-roberta-xl"]),
})  # fmt: skip
FORMS = ("names", "dictionary", "list", "places")
ORDER = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


def call(net: Any, form: str, arguments: dict[str, Any]) -> Any:
    if form == "names":
        return net(**arguments)
    if form == "dictionary":
        return net(arguments)
    first = [arguments.get(name) for name in ORDER]
    rest = {name: value for name, value in arguments.items() if name not in ORDER}
    return net(first, **rest) if form == "list" else net(*first, **rest)


@settings(max_examples=25, deadline=None)
@given(st.data(), CONFIGS, st.sampled_from(FORMS), st.booleans())
def test_any_call(data: st.DataObject, config: dict[str, Any], form: str, is_wrong: bool) -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormForMaskedLM", max_position_embeddings=14, **config)
    rows, length = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    arguments: dict[str, Any] = {"input_ids": generator.integers(0, config["vocab_size"] + is_wrong, (rows, length))}
    for name, limit in (("attention_mask", 2), ("token_type_ids", config["type_vocab_size"]), ("position_ids", 14)):
        if data.draw(st.booleans()):
            arguments[name] = generator.integers(0, limit + is_wrong * (name != "attention_mask"), (rows, length))
    if data.draw(st.booleans()):
        arguments["labels"] = generator.integers(0, config["vocab_size"], (rows, length))
    arguments["output_hidden_states"] = data.draw(st.booleans())
    ours.min_pads = 1
    tensors = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in arguments.items()}
    try:
        with torch.no_grad():
            wanted = theirs(**tensors)
    except ValueError as error:
        with pytest.raises(ValueError) as caught:
            call(ours, form, arguments)
        assert str(caught.value) == str(error)
        return
    got = call(ours, form, arguments)
    if config["is_decoder"]:
        assert got.get("past_key_values") is None
    real = arguments.get("attention_mask", np.ones((rows, length))).astype(bool)
    if real.any(axis=1).all() and "labels" not in arguments:  # elsewhere nothing is meant
        wanted.logits, got.logits = wanted.logits[torch.tensor(real)], keras.ops.convert_to_numpy(got.logits)[real]
        wanted.hidden_states = got.hidden_states = None
    limit = LIMIT[DTYPE] * (1 if DTYPE == "float64" else 20)
    assert max(differences(wanted, got).values()) <= limit
