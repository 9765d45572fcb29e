"""The key/value cache of a decoder: of a fixed size, so that every step is the same compiled function."""

from __future__ import annotations

from typing import TypedDict

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.facts import is_known


class FlaxLayerCache(TypedDict):
    """The keys and values of one layer.

    Attributes:
        key: [batch, heads, room, head size], of which the tokens so far are filled.
        value: the same.
    """

    key: Array
    value: Array


class FlaxCache(TypedDict):
    """Keys and values of the tokens seen so far: a tree of arrays, which is handed in and out and never changed in place.

    Attributes:
        layer: those of each layer, by its number.
        length: number of tokens, int32 [].
        real: bool [batch, room], false at pads, which take no position.
    """

    layer: dict[str, FlaxLayerCache]
    length: Array
    real: Array


def empty_cache(config: RobertaPreLayerNormConfig, batch: int, room: int, dtype: jnp.dtype) -> FlaxCache:
    """Return a cache without tokens.

    Args:
        config: the model's configuration.
        batch: number of sequences.
        room: how many tokens of each it takes.
        dtype: the type of keys and values.

    Returns:
        The cache.
    """
    shape = (batch, config.num_attention_heads, room, config.hidden_size // config.num_attention_heads)
    return FlaxCache(
        layer={
            str(number): FlaxLayerCache(key=jnp.zeros(shape, dtype), value=jnp.zeros(shape, dtype))
            for number in range(config.num_hidden_layers)
        },
        length=jnp.zeros((), jnp.int32),
        real=jnp.zeros((batch, room), bool),
    )


def known_length(cache: FlaxCache) -> int | None:
    """Return the number of tokens in a cache.

    Args:
        cache: the cache.

    Returns:
        How many there are; None inside a trace.
    """
    return int(np.asarray(cache["length"])) if is_known(cache["length"]) else None


def room_of(cache: FlaxCache) -> int:
    """Return how many tokens a cache takes.

    Args:
        cache: the cache.

    Returns:
        The number.
    """
    return int(cache["real"].shape[1])


def add_real(cache: FlaxCache, real: Array) -> tuple[FlaxCache, Array]:
    """Note which of the tokens to come are real ones; called before the layers add theirs.

    Args:
        cache: the cache.
        real: bool [batch, new tokens], false at pads.

    Returns:
        The cache, and the number of real tokens that were in it, [batch, 1].
    """
    before = cache["real"].sum(axis=1, keepdims=True)
    zero = jnp.zeros_like(cache["length"])
    return {**cache, "real": lax.dynamic_update_slice(cache["real"], real, (zero, cache["length"]))}, before


def add_layer(cache: FlaxCache, layer: int, keys: Array, values: Array) -> tuple[FlaxCache, Array, Array]:
    """Add a layer's new keys and values.

    Args:
        cache: the cache.
        layer: the layer's number.
        keys: [batch, heads, new tokens, head size].
        values: the same shape.

    Returns:
        The cache, and all keys and all values of the layer, each [batch, heads, room, head size].
    """
    zero = jnp.zeros_like(cache["length"])
    old, place = cache["layer"][str(layer)], (zero, zero, cache["length"], zero)
    new = FlaxLayerCache(
        key=lax.dynamic_update_slice(old["key"], keys.astype(old["key"].dtype), place),
        value=lax.dynamic_update_slice(old["value"], values.astype(old["value"].dtype), place),
    )
    return {**cache, "layer": {**cache["layer"], str(layer): new}}, new["key"], new["value"]


def advance(cache: FlaxCache, tokens: int) -> FlaxCache:
    """Count the tokens that all layers have added.

    Args:
        cache: the cache.
        tokens: how many.

    Returns:
        The cache.
    """
    return {**cache, "length": cache["length"] + tokens}


def as_cache(past_key_values: object) -> FlaxCache | None:
    """Return the cache that a caller means.

    Args:
        past_key_values: what `init_cache` or an earlier forward returned, or None.

    Returns:
        The cache; None for None.

    Raises:
        ValueError: if it is anything else.
    """
    if past_key_values is None:
        return None
    if not isinstance(past_key_values, dict) or not FlaxCache.__annotations__.keys() <= past_key_values.keys():
        raise ValueError(
            f"past_key_values is a {type(past_key_values).__name__}; pass what init_cache or an earlier forward returned"
        )
    return FlaxCache(layer=past_key_values["layer"], length=past_key_values["length"], real=past_key_values["real"])


def cache_shapes(cache: FlaxCache) -> list[tuple[int, ...]]:
    """Return the shapes of keys and values, layer by layer.

    Args:
        cache: the cache.

    Returns:
        Two shapes for each layer.
    """
    return [tuple(leaf.shape) for leaf in jax.tree.leaves(cache["layer"])]
