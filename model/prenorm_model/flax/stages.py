"""What every module inside of a model computes, for whoever compares it with another one: NNX has no hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flax import nnx
from jax import Array

from prenorm_model.flax.module import FlaxConfiguredModel


@contextmanager
def observed_stages(model: FlaxConfiguredModel, note: Callable[[str, Array], None]) -> Iterator[None]:
    """Pass on what the modules inside of a model return, as soon as they do, as long as the context lasts.

    Args:
        model: the model, called at once and not inside of a trace.
        note: called with the name of PyTorch's module, such as `encoder.layer.0.attention.self.query`, and the array. Inside
            of the encoder that is [batch, length, features], or where the model leaves the pads out [tokens, features]: the
            real tokens row by row, and behind them copies of the last one. Of a headless model within it is its output.

    Yields:
        Nothing.
    """
    bind = model.bind

    def observed(params: Mapping[str, Any]) -> Any:
        return _observed(bind(params), note)

    # A model is put together anew for every call: what is changed here is that one, and nobody else's.
    vars(model)["bind"] = observed
    try:
        yield
    finally:
        del vars(model)["bind"]


@contextmanager
def recorded_stages(model: FlaxConfiguredModel) -> Iterator[dict[str, Array]]:
    """Keep what the modules inside of a model return, as long as the context lasts; of several calls the last one counts.

    Args:
        model: the model, called at once and not inside of a trace.

    Yields:
        The arrays by the names of PyTorch's modules, such as `encoder.layer.0.attention.self.query`.
    """
    recorded: dict[str, Array] = {}
    with observed_stages(model, recorded.__setitem__):
        yield recorded


def _observed(module: nnx.Module, note: Callable[[str, Array], None]) -> nnx.Module:
    """Let every module inside of one pass on what it returns."""
    for path, inner in nnx.iter_modules(module):
        if path and callable(inner):
            object.__setattr__(inner, "__class__", _noting(type(inner), ".".join(map(str, path)), note))
    return module


def _noting(kind: type[nnx.Module], name: str, note: Callable[[str, Array], None]) -> type[nnx.Module]:
    """Return a class of modules that pass on what they return; of one that returns several things the first."""

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = kind.__call__(self, *args, **kwargs)
        note(name, result[0] if isinstance(result, tuple) else result)
        return result

    return type(kind.__name__, (kind,), {"__call__": noting, "__module__": kind.__module__})
