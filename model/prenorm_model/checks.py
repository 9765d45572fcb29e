"""What the models say to bad input: a ValueError that names the argument, the value and the limit."""

from __future__ import annotations

import torch
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.torch.cache import KeyValueCache


def _are_values_known() -> bool:
    """Whether tensors' values may be looked at: a compiled graph has none while it is traced."""
    return not torch.compiler.is_compiling()


def check_ids(name: str, ids: Tensor, limit: int, shape: tuple[int, ...] | None = None) -> None:
    """Ids must be integers from 0 to `limit` - 1, of the given shape.

    Raises:
        ValueError: naming argument, value and limit.
    """
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"{name} has type {ids.dtype}; ids are integers")
    if shape is not None and tuple(ids.shape) not in (shape, (1, *shape[1:])):
        raise ValueError(f"{name} has shape {list(ids.shape)}; with these inputs it must be {list(shape)}")
    if _are_values_known() and ids.numel():
        low, high = (int(end) for end in torch.aminmax(ids))
        if low < 0 or high >= limit:
            raise ValueError(f"{name} holds {low if low < 0 else high}; its values go from 0 to {limit - 1}")


def check_inputs(
    config: RobertaPreLayerNormConfig, input_ids: Tensor | None, inputs_embeds: Tensor | None
) -> tuple[int, int]:
    """Exactly one of the two, of a sound shape; returns batch and length.

    Raises:
        ValueError: naming argument, value and limit.
    """
    if (input_ids is None) == (inputs_embeds is None):
        said = "neither is" if input_ids is None else "both are"
        raise ValueError(f"exactly one of input_ids and inputs_embeds must be given; {said}")
    if input_ids is not None:
        if input_ids.dim() != 2:
            raise ValueError(f"input_ids has shape {list(input_ids.shape)}; it must be [batch, length]")
        check_ids("input_ids", input_ids, config.vocab_size)
        return input_ids.shape[0], input_ids.shape[1]
    assert inputs_embeds is not None
    if inputs_embeds.dim() != 3 or inputs_embeds.shape[2] != config.hidden_size:
        raise ValueError(
            f"inputs_embeds has shape {list(inputs_embeds.shape)}; it must be [batch, length, {config.hidden_size}]"
        )
    return inputs_embeds.shape[0], inputs_embeds.shape[1]


def check_length(config: RobertaPreLayerNormConfig, input_ids: Tensor | None, length: int, past: int) -> None:
    """A sequence must fit the position table, whose first rows belong to the pad and what is below it. Pads take no position.

    Args:
        past: how many tokens are in the cache.

    Raises:
        ValueError: naming the length and the limit.
    """
    longest = config.max_position_embeddings - config.pad_token_id - 1
    if length + past <= longest:
        return
    if input_ids is not None and _are_values_known() and past == 0:
        length = int(input_ids.ne(config.pad_token_id).sum(dim=1).max())
    if length + past > longest:
        name = "inputs_embeds" if input_ids is None else "input_ids"
        held = f" ({past} of them in past_key_values)" if past else ""
        raise ValueError(
            f"{name} holds {length + past} tokens{held}; the position table of {config.max_position_embeddings} rows "
            f"takes {longest}"
        )


def check_mask(name: str, mask: Tensor, batch: int, queries: int, keys: int) -> None:
    """A mask is [batch, keys] or [batch, queries, keys].

    Raises:
        ValueError: naming the argument, its shape and what it must be.
    """
    if tuple(mask.shape) not in ((batch, keys), (batch, queries, keys)):
        raise ValueError(
            f"{name} has shape {list(mask.shape)}; it must be [{batch}, {keys}] or [{batch}, {queries}, {keys}]"
        )


def check_decoder_inputs(
    config: RobertaPreLayerNormConfig,
    cache: object,
    use_cache: bool | None,
    encoder_hidden_states: Tensor | None,
    encoder_attention_mask: Tensor | None,
    batch: int,
) -> None:
    """What only a decoder takes, and of which kind.

    Raises:
        ValueError: naming the argument and the setting that it needs.
    """
    if cache is not None and not isinstance(cache, KeyValueCache):
        raise ValueError(f"past_key_values is a {type(cache).__name__}; pass what an earlier forward returned")
    for name, given in (("past_key_values", cache is not None), ("use_cache", bool(use_cache))):
        if given and not config.is_decoder:
            raise ValueError(f"{name} was given to an encoder; a cache needs a config with is_decoder=True")
    if encoder_hidden_states is None:
        if encoder_attention_mask is not None:
            raise ValueError("encoder_attention_mask was given without encoder_hidden_states")
        return
    if not config.add_cross_attention:
        raise ValueError("encoder_hidden_states was given, but the config has add_cross_attention=False")
    states = tuple(encoder_hidden_states.shape)
    if len(states) != 3 or states[0] != batch or states[2] != config.hidden_size:
        raise ValueError(
            f"encoder_hidden_states has shape {list(states)}; it must be [{batch}, length, {config.hidden_size}]"
        )


def check_head_mask(config: RobertaPreLayerNormConfig, head_mask: Tensor) -> Tensor:
    """A head mask is [heads] or [layers, heads]; returned as [layers, 1, heads, 1, 1].

    Raises:
        ValueError: naming its shape and what it must be.
    """
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    if tuple(head_mask.shape) not in ((heads,), (layers, heads)):
        raise ValueError(f"head_mask has shape {list(head_mask.shape)}; it must be [{heads}] or [{layers}, {heads}]")
    return head_mask.expand(layers, heads)[:, None, :, None, None]


def check_class_labels(
    name: str, labels: Tensor, shape: tuple[int, ...], classes: int, *, ignored: int | None = -100
) -> None:
    """Labels that are class numbers: integers of the given shape, from 0 to `classes` - 1, or `ignored`.

    Raises:
        ValueError: naming argument, value and limit.
    """
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"{name} has type {labels.dtype}; class numbers are integers")
    if tuple(labels.shape) != shape:
        raise ValueError(f"{name} has shape {list(labels.shape)}; it must be {list(shape)}")
    if _are_values_known() and labels.numel():
        counted = labels if ignored is None else labels[labels != ignored]
        if counted.numel() and (int(counted.min()) < 0 or int(counted.max()) >= classes):
            wrong = int(counted.min()) if int(counted.min()) < 0 else int(counted.max())
            also = "" if ignored is None else f" (or {ignored}, to be ignored)"
            raise ValueError(f"{name} holds {wrong}; its values go from 0 to {classes - 1}{also}")


def check_value_labels(name: str, labels: Tensor, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Labels that are numbers: floating point, of one of the given shapes.

    Raises:
        ValueError: naming argument, type or shape, and what it must be.
    """
    if not labels.is_floating_point():
        raise ValueError(f"{name} has type {labels.dtype}; this problem_type needs floating-point labels")
    if tuple(labels.shape) not in shapes:
        raise ValueError(
            f"{name} has shape {list(labels.shape)}; it must be {' or '.join(str(list(s)) for s in shapes)}"
        )
