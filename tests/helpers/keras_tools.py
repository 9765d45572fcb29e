"""What Keras leaves to its backend: gradients, and functions that are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def gradients(model: Any, loss: Callable[[Any], Any]) -> dict[str, np.ndarray]:
    """The gradients of a loss by the names, and in the shapes, of PyTorch's parameters."""
    named = model.named_weights()
    variables = [weight.variable for weight in named.values()]
    computed = {"tensorflow": _by_tape, "jax": _by_grad, "torch": _by_backward}[keras.backend.backend()](
        model, loss, variables
    )
    found = {}
    for (name, weight), gradient in zip(named.items(), computed, strict=True):
        value = np.zeros(weight.variable.shape) if gradient is None else ops.convert_to_numpy(gradient)
        found[name] = value.T if weight.is_transposed else value
    return found


def _by_tape(model: Any, loss: Callable[[Any], Any], variables: list[Any]) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(model)
    computed = tape.gradient(value, [variable.value for variable in variables])
    return [None if item is None else tf.convert_to_tensor(item) for item in computed]


def _by_grad(model: Any, loss: Callable[[Any], Any], variables: list[Any]) -> list[Any]:
    import jax

    def of_values(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return loss(model)

    return jax.grad(of_values)([variable.value for variable in variables])


def _by_backward(model: Any, loss: Callable[[Any], Any], variables: list[Any]) -> list[Any]:
    model.zero_grad()
    loss(model).backward()
    return [variable.value.grad for variable in variables]


def compiled(function: Callable[..., Any], *, jit: bool = False) -> Callable[..., Any]:
    """The function as a graph of the backend; with `jit`, of XLA."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=jit)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function
