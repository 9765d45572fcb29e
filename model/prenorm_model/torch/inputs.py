"""The arguments of a forward, in one piece: checked together, and typed where classes hand them on."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from torch import Tensor

from prenorm_model.checks import (
    check_cache,
    check_cache_position,
    check_encoder_states,
    check_head_mask,
    check_ids,
    check_inputs,
    check_length,
    check_mask,
)
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.torch.cache import KeyValueCache, PastKeyValues
from prenorm_model.torch.facts import are_sizes_open, are_values_known, facts_of, shape_of


class OutputOptions(TypedDict, total=False):
    """Arguments that every class hands on to `RobertaPreLayerNormModel.forward`, which explains them."""

    head_mask: Tensor | None
    output_attentions: bool | None
    output_hidden_states: bool | None


class NextTokenOptions(OutputOptions, total=False):
    """`OutputOptions`, and the causal LM's targets; by a name of its own, `Trainer` would take them for its labels."""

    shift_labels: Tensor | None


class DecoderOptions(OutputOptions, total=False):
    """`OutputOptions`, the cache of a decoder, and what transformers' `Trainer` passes on to a loss."""

    num_items_in_batch: Tensor | int | None
    past_key_values: PastKeyValues | None
    use_cache: bool | None
    cache_position: Tensor | None


class ModelOptions(DecoderOptions, total=False):
    """`DecoderOptions`, and the encoder's states that a decoder attends to."""

    encoder_hidden_states: Tensor | None
    encoder_attention_mask: Tensor | None


class ModelInputs(NamedTuple):
    """What `RobertaPreLayerNormModel.forward` computes on; it explains the fields and their shapes."""

    input_ids: Tensor | None
    attention_mask: Tensor | None
    token_type_ids: Tensor | None
    position_ids: Tensor | None
    inputs_embeds: Tensor | None
    encoder_hidden_states: Tensor | None
    encoder_attention_mask: Tensor | None
    head_mask: Tensor | None


def check_all(
    config: RobertaPreLayerNormConfig,
    inputs: ModelInputs,
    cache: KeyValueCache | None,
    use_cache: bool | None,
    cache_position: Tensor | None,
) -> tuple[int, int]:
    """Check the arguments of a forward, before anything is computed.

    Args:
        config: the model's configuration.
        inputs: what the forward computes on.
        cache: the one that the caller gave.
        use_cache: as the caller gave it.
        cache_position: as the caller gave it.

    Returns:
        Batch and length.

    Raises:
        ValueError: naming the argument, its value and the limit.
    """
    ids = None if inputs.input_ids is None else facts_of(inputs.input_ids)
    batch, length = check_inputs(config, ids, shape_of(inputs.inputs_embeds))
    pasts = (
        [] if cache is None else [tuple(item.shape) for layer in cache.layers for item in (layer.keys, layer.values)]
    )
    check_cache(config, None if cache is None else pasts, use_cache, batch)
    states = shape_of(inputs.encoder_hidden_states)
    check_encoder_states(config, states, inputs.encoder_attention_mask is not None, batch)
    past = 0 if cache is None else cache.get_seq_length()
    if cache_position is not None:
        check_cache_position(facts_of(cache_position), past, length)
    if inputs.position_ids is None:
        _check_length(config, inputs, length, past)
    else:
        check_ids("position_ids", facts_of(inputs.position_ids), config.max_position_embeddings, (batch, length))
    if inputs.token_type_ids is not None:
        check_ids("token_type_ids", facts_of(inputs.token_type_ids), config.type_vocab_size, (batch, length))
    if inputs.head_mask is not None:
        check_head_mask(config, tuple(inputs.head_mask.shape))
    if inputs.attention_mask is not None:
        check_mask(config, "attention_mask", tuple(inputs.attention_mask.shape), (batch, length, past + length))
    if states is not None and inputs.encoder_attention_mask is not None:
        check_mask(
            config, "encoder_attention_mask", tuple(inputs.encoder_attention_mask.shape), (batch, length, states[1])
        )
    return batch, length


def _check_length(config: RobertaPreLayerNormConfig, inputs: ModelInputs, length: int, past: int) -> None:
    """Check that the sequence fits the position table; pads are counted out only where it would not, which costs time."""
    if are_sizes_open():
        return
    ids = inputs.input_ids
    if ids is not None and length + past > config.longest_text and are_values_known() and past == 0:
        length = int(ids.ne(config.pad_token_id).sum(dim=1).max())
    check_length(config, "inputs_embeds" if ids is None else "input_ids", length, past)
