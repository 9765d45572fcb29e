"""The arguments of a call: in any of the documented forms, in one piece, checked together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from keras import ops

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
from prenorm_model.keras.cache import KeyValueCache
from prenorm_model.keras.facts import Tensor, are_values_known, facts_of, shape_of
from prenorm_model.options import refuse_unknown

P = ParamSpec("P")
R = TypeVar("R")


class ModelInputs(NamedTuple):
    """What `TFRobertaPreLayerNormModel.call` computes on; it explains the fields and their shapes."""

    input_ids: Tensor | None
    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    position_ids: Tensor | None
    head_mask: Tensor | None
    inputs_embeds: Tensor | None
    encoder_hidden_states: Tensor | None
    encoder_attention_mask: Tensor | None


def documented(call: Callable[P, R]) -> Callable[P, R]:
    """Let a `call` take its inputs in all of the documented forms, and let its errors say what they say.

    Keras calls a model, which takes these forms, and now and then `call` itself. And around each error it would put a list of
    all arguments.

    Args:
        call: the method.

    Returns:
        The method, with the same signature.
    """
    names = tuple(inspect.signature(call).parameters)[1:]

    @functools.wraps(call)
    def plain(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if len(args) < 2:
                return call(*args, **kwargs)
            model, *inputs = args
            unchecked: Any = call
            result: R = unchecked(model, **by_name(type(model).__name__, names, inputs, kwargs))
            return result
        except ValueError as error:
            error.__dict__["_keras_call_info_injected"] = True  # by which Keras knows what it has wrapped
            raise

    return plain


def by_name(call: str, names: Sequence[str], args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, whichever of the documented forms they have.

    Args:
        call: what is called.
        names: the arguments that it has, in order.
        args: those by position; the first may be a list or tuple of several in order, or a mapping of several by name.
        named: those by name.

    Returns:
        The arguments; lists of numbers as arrays, what is None left out.

    Raises:
        TypeError: naming those that are unknown, too many, or given twice.
    """
    first = args[0] if args else None
    inner: dict[str, Any] = {}
    if isinstance(first, Mapping):
        inner, args = dict(first), args[1:]
        rest = names[1:]
    elif isinstance(first, list | tuple) and not _is_numbers(first):
        if len(first) > len(names):
            raise TypeError(f"{call} got a list of {len(first)} inputs; it takes {', '.join(names)}")
        inner, args = dict(zip(names, first, strict=False)), args[1:]
        rest = names[1:]
    else:
        rest = names
    if len(args) > len(rest):
        raise TypeError(f"{call} got {len(args)} arguments by position; it takes {', '.join(rest)}")
    values = {**inner}
    for name, value in [*zip(rest, args, strict=False), *named.items()]:
        if values.get(name) is not None and value is not None:
            raise TypeError(f"{call} got {name} twice")
        values[name] = value if value is not None else values.get(name)
    refuse_unknown(call, values, names)
    return {name: _as_array(name, value) for name, value in values.items() if value is not None}


def _is_numbers(value: Any) -> bool:
    """Return whether a list holds numbers, or lists of numbers, and no arrays."""
    return isinstance(value, int | float) or (
        isinstance(value, list | tuple) and len(value) > 0 and all(_is_numbers(item) for item in value)
    )


def _as_array(name: str, value: Any) -> Any:
    """Return a list of numbers as an array; all else as it is."""
    return np.asarray(value) if isinstance(value, list | tuple) and name != "past_key_values" else value


def check_all(
    config: RobertaPreLayerNormConfig, inputs: ModelInputs, cache: KeyValueCache | None, use_cache: bool | None
) -> None:
    """Check the arguments of a call, before anything is computed.

    Args:
        config: the model's configuration.
        inputs: what the call computes on.
        cache: the one that the caller gave.
        use_cache: as the caller gave it.

    Raises:
        ValueError: naming the argument, its value and the limit.
    """
    ids = None if inputs.input_ids is None else facts_of(inputs.input_ids)
    batch, length = check_inputs(config, ids, shape_of(inputs.inputs_embeds))
    pasts = None if cache is None else [shape_of(item) or () for pair in cache.layers for item in pair]
    check_cache(config, pasts, use_cache, batch)
    states = shape_of(inputs.encoder_hidden_states)
    check_encoder_states(config, states, inputs.encoder_attention_mask is not None, batch)
    past = 0 if cache is None else cache.get_seq_length()
    if inputs.position_ids is None:
        _check_length(config, inputs, length, past)
    else:
        check_ids("position_ids", facts_of(inputs.position_ids), config.max_position_embeddings, (batch, length))
    if inputs.token_type_ids is not None:
        check_ids("token_type_ids", facts_of(inputs.token_type_ids), config.type_vocab_size, (batch, length))
    if inputs.head_mask is not None:
        check_head_mask(config, shape_of(inputs.head_mask) or ())
    keys: Any = None if past is None or length is None else past + length
    for name, mask, attended in (
        ("attention_mask", inputs.attention_mask, keys),
        ("encoder_attention_mask", inputs.encoder_attention_mask, None if states is None else states[1]),
    ):
        if mask is not None:
            sizes: Any = (batch, length, attended)
            check_mask(config, name, shape_of(mask) or (), sizes)


def _check_length(config: RobertaPreLayerNormConfig, inputs: ModelInputs, length: int, past: int | None) -> None:
    """Check that the sequence fits the position table; pads are counted out only where it would not, which costs time."""
    if length is None or past is None:
        return
    ids = inputs.input_ids
    if ids is not None and length + past > config.longest_text and are_values_known(ids) and past == 0:
        length = int((ops.convert_to_numpy(ids) != config.pad_token_id).sum(axis=1).max())
    check_length(config, "inputs_embeds" if ids is None else "input_ids", length, past)
