"""Our Keras models beside our PyTorch ones, with the same random weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import torch
from keras import ops

import prenorm_model
from helpers.model_pairs import randomize, settings
from prenorm_model import keras as keras_part

# Keras computes products in float64 by TensorFlow alone.
DTYPE = "float64" if keras.backend.backend() == "tensorflow" else "float32"
LIMIT = {"float64": 1e-10, "float32": 1e-5}
GRADIENT_LIMIT = {"float64": 1e-9, "float32": 1e-4}


def keras_pair(name: str, dtype: str = DTYPE, **changes: Any) -> tuple[Any, Any]:
    """PyTorch's model of a class, in evaluation mode, and Keras' of the same weights."""
    config = prenorm_model.RobertaPreLayerNormConfig(**{**settings(name), **changes})
    torch.manual_seed(1)
    theirs = getattr(prenorm_model, name)(config).to(getattr(torch, dtype)).eval()
    randomize(theirs)
    ours = getattr(keras_part, f"TF{name}")(config, dtype=dtype)
    copy_weights(theirs, ours)
    return theirs, ours


def copy_weights(theirs: Any, ours: Any) -> None:
    """Give a Keras model the weights of PyTorch's; both have the same names."""
    saved = {name: item.detach().numpy() for name, item in theirs.saved_parameters().items()}
    named = ours.named_weights()
    assert set(saved) == set(named)
    for name, weight in named.items():
        assert saved[name].shape == weight.shape
        weight.variable.assign(saved[name].T if weight.is_transposed else saved[name])


def as_arrays(inputs: dict[str, Any]) -> dict[str, Any]:
    """Tensors of PyTorch as arrays."""
    return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


def leaves(field: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The arrays of an output's field, each with a name."""
    if isinstance(value, torch.Tensor):
        yield field, value.detach().numpy()
    elif isinstance(value, tuple | list) or hasattr(value, "to_legacy_cache"):
        for number, item in enumerate(value):
            yield from leaves(f"{field}.{number}", item)
    else:
        yield field, ops.convert_to_numpy(value)


def differences(theirs: Any, ours: Any) -> dict[str, float]:
    """The largest difference of each array of two outputs, for one, or its largest value; losses by row are averaged."""
    assert list(theirs) == list(ours)
    found: dict[str, float] = {}
    for field in theirs:
        pairs = zip(leaves(field, theirs[field]), leaves(field, ours[field]), strict=True)
        for (name, wanted), (_, got) in pairs:
            if name == "loss":
                got = got.mean()
            assert wanted.shape == got.shape, name
            found[name] = float(np.abs(wanted - got).max() / max(1.0, np.abs(wanted).max()))
    return found
