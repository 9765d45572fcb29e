"""What every layer inside of a model computes, for whoever compares it with another one: Keras has no hooks."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.module import ConfiguredModel


@contextmanager
def observed_stages(model: ConfiguredModel, note: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Pass on what the layers inside of a model return, as soon as they do, as long as the context lasts.

    Args:
        model: the model, called at once and not as a graph.
        note: called with the name of PyTorch's module, such as `encoder.layer.0.attention.self.query`, and the tensor. Inside
            of the encoder that is [tokens, features]: of the whole batch, [batch * length], or of the real tokens alone, row
            by row, where the model leaves the pads out.

    Yields:
        Nothing.
    """
    layers = dict(_named_layers(model))
    for name, layer in layers.items():
        layer.call = _noting(layer.call, name, note)
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.call


@contextmanager
def recorded_stages(model: ConfiguredModel) -> Iterator[dict[str, Tensor]]:
    """Keep what the layers inside of a model return, as long as the context lasts; of several calls the last one counts.

    Args:
        model: the model, called at once and not as a graph.

    Yields:
        The tensors by the names of PyTorch's modules, such as `encoder.layer.0.attention.self.query`. Those inside of the
        encoder are [batch * length, features]; with `every_position=True`, or no mask, pads are among them.
    """
    recorded: dict[str, Tensor] = {}
    with observed_stages(model, recorded.__setitem__):
        yield recorded


def _named_layers(model: ConfiguredModel) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield the layers inside of a model that have variables, by the names of PyTorch's modules."""
    for layer in model._flatten_layers(include_self=False):
        if layer.weights and layer.path is not None:
            path = layer.path.removeprefix(f"{model.path}/").replace("/", ".")
            yield re.sub(r"(^|\.)layer_(\d+)(?=\.|$)", r"\1layer.\2", path), layer


def _noting(call: Callable[..., Any], name: str, note: Callable[[str, Tensor], None]) -> Callable[..., Any]:
    """Return a `call` that passes on what it returns; of a layer that returns several things the first."""

    @functools.wraps(call)
    def noting(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        note(name, result[0] if isinstance(result, tuple) else result)
        return result

    return noting
