"""The outputs as nodes of JAX' trees, so that what maps over arrays (jit, vmap, device_put) reaches into them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import partial
from typing import Any

from jax import Array
from jax.tree_util import DictKey, all_leaves, register_pytree_with_keys

from prenorm_model import outputs


def _flatten(output: outputs.ModelOutput[Array]) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
    """Return the fields that are not None, each with its place in the tree, which error messages show, and their names."""
    return [(DictKey(name), value) for name, value in output.items()], tuple(output)


def _unflatten(
    output_class: type[outputs.ModelOutput[Array]], names: tuple[str, ...], values: Iterable[Any]
) -> outputs.ModelOutput[Array]:
    """Return an output of these fields."""
    return output_class(**dict(zip(names, values, strict=True)))


def register_outputs() -> None:
    """Make every class of outputs a node, unless it is one: Keras on JAX makes them nodes, too."""
    for output_class in vars(outputs).values():
        is_output = isinstance(output_class, type) and issubclass(output_class, outputs.ModelOutput)
        # The base has no fields, and no instances.
        if is_output and fields(output_class) and all_leaves([output_class()]):
            register_pytree_with_keys(output_class, _flatten, partial(_unflatten, output_class))
