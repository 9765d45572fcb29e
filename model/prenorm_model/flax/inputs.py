"""The arguments of a forward, in one piece, and checked together."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from prenorm_model.checks import (
    check_cache,
    check_encoder_states,
    check_head_mask,
    check_ids,
    check_inputs,
    check_length,
    check_mask,
)
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.cache import FlaxCache, cache_shapes, known_length, room_of
from prenorm_model.flax.facts import facts_of, is_known, shape_of


class FlaxInputs(NamedTuple):
    """What a model computes on; `FlaxPretrainedModel.__call__` explains the fields and their shapes."""

    input_ids: Array
    attention_mask: Array | None = None
    token_type_ids: Array | None = None
    position_ids: Array | None = None
    head_mask: Array | None = None
    encoder_hidden_states: Array | None = None
    encoder_attention_mask: Array | None = None


class FlaxRun(NamedTuple):
    """How a model computes, and what it returns beside its result.

    Attributes:
        cache: the decoder's; None: there is none.
        dropout_key: where dropouts draw from; None: there are none.
        output_attentions: whether to return the attention weights.
        output_hidden_states: whether to return every layer's output.
        min_pads: from how many pads an encoder's batch is computed without them.
        real_tokens: how many tokens are no pads, at most; None: as the mask says, where it can be looked at.
    """

    cache: FlaxCache | None
    dropout_key: Array | None
    output_attentions: bool
    output_hidden_states: bool
    min_pads: int
    real_tokens: int | None

    def key(self, place: int) -> Array | None:
        """Return where the dropout of a head draws from.

        Args:
            place: its number.

        Returns:
            The key; None where there is no dropout.
        """
        return None if self.dropout_key is None else jax.random.fold_in(self.dropout_key, place)


def check_all(config: RobertaPreLayerNormConfig, inputs: FlaxInputs, cache: FlaxCache | None) -> tuple[int, int]:
    """Check the arguments of a forward, before anything is computed; inside a trace, what can be known of them.

    Args:
        config: the model's configuration.
        inputs: what the forward computes on.
        cache: the one that the caller gave.

    Returns:
        Batch and length.

    Raises:
        ValueError: naming the argument, its value and the limit.
    """
    batch, length = check_inputs(config, facts_of(inputs.input_ids), None)
    check_cache(config, None if cache is None else cache_shapes(cache), None, batch)
    states = shape_of(inputs.encoder_hidden_states)
    check_encoder_states(config, states, inputs.encoder_attention_mask is not None, batch)
    past = 0 if cache is None else known_length(cache)
    if cache is not None and past is not None and past + length > room_of(cache):
        raise ValueError(
            f"input_ids holds {past + length} tokens ({past} of them in past_key_values), which has room for {room_of(cache)}"
        )
    if inputs.position_ids is None:
        _check_length(config, inputs.input_ids, length, past or 0)
    else:
        check_ids("position_ids", facts_of(inputs.position_ids), config.max_position_embeddings, (batch, length))
    if inputs.token_type_ids is not None:
        check_ids("token_type_ids", facts_of(inputs.token_type_ids), config.type_vocab_size, (batch, length))
    if inputs.head_mask is not None:
        check_head_mask(config, tuple(inputs.head_mask.shape))
    if inputs.attention_mask is not None:
        shape = tuple(inputs.attention_mask.shape)
        # With a cache, a mask covers its room, as one compiled function needs it, or the tokens so far.
        is_whole = cache is not None and shape[-1:] == (room_of(cache),)
        keys = room_of(cache) if cache is not None and (is_whole or past is None) else (past or 0) + length
        check_mask(config, "attention_mask", shape, (batch, length, keys))
    if states is not None and inputs.encoder_attention_mask is not None:
        check_mask(
            config, "encoder_attention_mask", tuple(inputs.encoder_attention_mask.shape), (batch, length, states[1])
        )
    return batch, length


def _check_length(config: RobertaPreLayerNormConfig, ids: Array, length: int, past: int) -> None:
    """Check that the sequence fits the position table; pads are counted out where they can be."""
    if length + past > config.longest_text and is_known(ids) and past == 0:
        length = int((np.asarray(ids) != config.pad_token_id).sum(axis=1).max())
    check_length(config, "input_ids", length, past)


def as_array(x: object, kind: str) -> Array | None:
    """Return what a caller passed as an array: of JAX, of numpy, or nested lists of numbers.

    Args:
        x: the argument; None stays None.
        kind: "ids" for integers, which are computed with as int32, and "mask" for what may be integers; else the type stays.

    Returns:
        The array.
    """
    if x is None:
        return None
    array = x if isinstance(x, Array) else np.asarray(x)
    is_integer = jnp.issubdtype(array.dtype, jnp.integer)
    if kind == "ids" and not is_integer:
        return array  # type: ignore[return-value]  # which a check will refuse, naming the type that the caller knows
    if kind in ("ids", "mask") and array.dtype != jnp.int32 and is_integer:
        facts = facts_of(array)
        limits = jnp.iinfo(jnp.int32)
        if facts.smallest is not None and not limits.min <= facts.smallest <= (facts.largest or 0) <= limits.max:
            return array  # type: ignore[return-value]  # which a check will refuse, naming the value
        return jnp.asarray(array, jnp.int32)
    return jnp.asarray(array)
