"""Every module of PyTorch's model has a stage in Keras' of the same name and the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from keras import ops

from helpers.keras_pairs import DTYPE, LIMIT, as_arrays, keras_pair
from helpers.model_pairs import inputs_for
from prenorm_model.keras.stages import recorded_stages


def test_every_stage_is_reached_and_equal() -> None:
    theirs, ours = keras_pair("RobertaPreLayerNormForMaskedLM")
    wanted: dict[str, Any] = {}
    for name, module in theirs.named_modules():
        module.register_forward_hook(
            lambda _, __, output, name=name: wanted.update({name: output[0] if isinstance(output, tuple) else output})
        )
    inputs = inputs_for("")
    with torch.no_grad():
        theirs(**inputs)
    with recorded_stages(ours) as found:
        first = ours(as_arrays(inputs)).logits
    kinds = (torch.nn.Linear, torch.nn.Embedding, torch.nn.LayerNorm)
    names = {name for name, module in theirs.named_modules() if isinstance(module, kinds)}
    names |= {f"roberta_prelayernorm.encoder.layer.{number}" for number in range(2)}
    names |= {
        f"roberta_prelayernorm.encoder.layer.1.{part}" for part in ("attention", "attention.self", "intermediate")
    }
    # A head that is tied has no matrix of its own; its result is the head's.
    names = names - {"lm_head.decoder"} | {"lm_head", "roberta_prelayernorm.embeddings"}
    assert names <= found.keys()
    for name in names:
        value = ops.convert_to_numpy(found[name])
        assert np.abs(value.reshape(-1) - wanted[name].numpy().reshape(-1)).max() <= LIMIT[DTYPE], name
    count = len(found)
    again = ours(as_arrays(inputs)).logits
    assert len(found) == count
    assert np.array_equal(ops.convert_to_numpy(again), ops.convert_to_numpy(first))
    assert found["lm_head"] is first
