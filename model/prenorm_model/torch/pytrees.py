"""The outputs as nodes of torch's trees, so that what maps over tensors (export, compile, hooks) reaches into them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from prenorm_model import outputs
from prenorm_model.torch.cache import KeyValueCache, LayerCache


def _flatten(output: outputs.ModelOutput[Tensor]) -> tuple[list[Any], list[str]]:
    """Return the values and the names of the fields that are not None."""
    return list(output.values()), list(output)


def _flatten_with_keys(output: outputs.ModelOutput[Tensor]) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Return each value with its place in the tree, which error messages show, and the names."""
    return [(pytree.MappingKey(name), value) for name, value in output.items()], list(output)


def _unflatten(
    output_class: type[outputs.ModelOutput[Tensor]], values: Iterable[Any], names: list[str]
) -> outputs.ModelOutput[Tensor]:
    """Return an output of these fields."""
    return output_class(dict(zip(names, values, strict=True)))


def _flatten_cache(cache: KeyValueCache) -> tuple[list[Any], None]:
    """Return the keys and values of the layers, those of the cross-attention, and which tokens are real."""
    # A full buffer as it is: an exported size of a view of it would be the example's.
    layers = [
        (item.key_buffer, item.value_buffer) if item.key_buffer.shape[2] == item.length else (item.keys, item.values)
        for item in cache.layers
    ]
    return [layers, cache.cross, cache.real], None


def _unflatten_cache(values: Iterable[Any], _names: None) -> KeyValueCache:
    """Return a cache of these tensors."""
    layers, cross, real = values
    return KeyValueCache([LayerCache(keys, entries, keys.shape[2]) for keys, entries in layers], cross, real)


def _flatten_cache_with_keys(cache: KeyValueCache) -> tuple[list[tuple[Any, Any]], None]:
    """Return what `_flatten_cache` does, each with its place in the tree."""
    names = ("layers", "cross", "real")
    return [(pytree.GetAttrKey(name), part) for name, part in zip(names, _flatten_cache(cache)[0], strict=True)], None


def register_cache() -> None:
    """Make the cache a node."""
    pytree.register_pytree_node(
        KeyValueCache, _flatten_cache, _unflatten_cache, flatten_with_keys_fn=_flatten_cache_with_keys,
        serialized_type_name="prenorm_model.KeyValueCache",
    )  # fmt: skip


def register_outputs() -> None:
    """Make every class of outputs a node."""
    for output_class in vars(outputs).values():
        if isinstance(output_class, type) and issubclass(output_class, outputs.ModelOutput):
            pytree.register_pytree_node(
                output_class, _flatten, partial(_unflatten, output_class), flatten_with_keys_fn=_flatten_with_keys,
                serialized_type_name=f"prenorm_model.{output_class.__name__}",
            )  # fmt: skip
