"""The encoder or decoder without a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prenorm_model.checks import (
    check_decoder_inputs,
    check_head_mask,
    check_ids,
    check_inputs,
    check_length,
    check_mask,
)
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import BaseModelOutputWithPoolingAndCrossAttentions
from prenorm_model.torch.attention import Context
from prenorm_model.torch.base import PretrainedModel
from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.embeddings import RobertaPreLayerNormEmbeddings, default_positions
from prenorm_model.torch.layer import Encoder
from prenorm_model.torch.masks import causal_mask, encoder_mask
from prenorm_model.torch.packing import pads_come_first, plan_packing


class Pooler(nn.Module):
    """tanh(W x + b) of the first token."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, hidden]."""
        return torch.tanh(self.dense(hidden[:, 0]))


class RobertaPreLayerNormModel(PretrainedModel):
    """Embeddings, layers, final norm; with `add_pooling_layer` a pooler. With `config.is_decoder` a decoder."""

    base_prefix = ""

    def __init__(self, config: RobertaPreLayerNormConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = RobertaPreLayerNormEmbeddings(config)
        self.encoder = Encoder(config)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.finish_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        use_cache: bool | None = None,
        *,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        every_position: bool = False,
    ) -> Any:
        """Encodes a batch, or as a decoder continues one.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length] or [batch, length, length] (with a cache, its tokens counted in the last size),
                non-zero where to attend; default: everywhere. What comes out at masked positions means nothing.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length].
            past_key_values: the cache an earlier forward returned.
            use_cache: whether to return one; default for a decoder: `config.use_cache`.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            output_attentions, output_hidden_states, return_dict: as documented; default: the config's.
            every_position: compute the outputs at masked positions too, even where leaving them out would be faster.

        Returns:
            `BaseModelOutputWithPoolingAndCrossAttentions`, or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        config = self.config
        batch, length = check_inputs(config, input_ids, inputs_embeds)
        check_decoder_inputs(config, past_key_values, use_cache, encoder_hidden_states, encoder_attention_mask, batch)
        cache = self._cache(past_key_values, use_cache)
        self._check_positions(input_ids, (batch, length), token_type_ids, position_ids, cache)
        context = self._context(
            attention_mask, encoder_hidden_states, encoder_attention_mask, cache, head_mask, batch, length,
            config.output_attentions if output_attentions is None else output_attentions, every_position,
        )  # fmt: skip
        words = input_ids if inputs_embeds is None else inputs_embeds
        assert words is not None
        default_ids = self._positions(input_ids, words, cache, (batch, length))
        position_ids = default_ids if position_ids is None else position_ids
        x = self._embed(words, position_ids, token_type_ids, context)
        keep_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        x, states = self.encoder(x, context, keep_states=keep_states)
        x = self.LayerNorm(x)
        if context.packing is not None:
            x = context.packing.unpack(x)
            states = tuple(context.packing.unpack(state) for state in states)
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            past_key_values=cache if use_cache is not False else None,
            hidden_states=states if keep_states else None,
            attentions=tuple(context.attentions) if context.wants_attentions else None,
            cross_attentions=tuple(context.cross_attentions) if context.cross_attentions else None,
        )
        return self.result(output, return_dict)

    def _cache(self, given: KeyValueCache | None, use_cache: bool | None) -> KeyValueCache | None:
        """The cache to use: the one that was given, else a new one where a decoder is to return one."""
        if given is not None or not self.config.is_decoder:
            return given
        if self.encoder.gradient_checkpointing and self.training:
            return None  # each layer runs twice, and must not add its keys twice
        return KeyValueCache() if (self.config.use_cache if use_cache is None else use_cache) else None

    def _check_positions(
        self,
        input_ids: Tensor | None,
        shape: tuple[int, int],
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        cache: KeyValueCache | None,
    ) -> None:
        """Raises ValueError where a table of positions or types has no row for what is asked."""
        past = 0 if cache is None else cache.get_seq_length()
        if position_ids is None:
            check_length(self.config, input_ids, shape[1], past)
        else:
            check_ids("position_ids", position_ids, self.config.max_position_embeddings, shape)
        if token_type_ids is not None:
            check_ids("token_type_ids", token_type_ids, self.config.type_vocab_size, shape)

    def _context(
        self,
        attention_mask: Tensor | None,
        encoder_hidden_states: Tensor | None,
        encoder_attention_mask: Tensor | None,
        cache: KeyValueCache | None,
        head_mask: Tensor | None,
        batch: int,
        length: int,
        wants_attentions: bool,
        every_position: bool,
    ) -> Context:
        """Masks, packing and the rest that all layers share."""
        past = 0 if cache is None else cache.get_seq_length()
        skip_full = not torch.compiler.is_compiling()
        context = Context(wants_attentions=wants_attentions, cache=cache, cross_states=encoder_hidden_states)
        if head_mask is not None:
            context.head_mask = check_head_mask(self.config, head_mask)
        if attention_mask is not None:
            check_mask("attention_mask", attention_mask, batch, length, past + length)
        if encoder_hidden_states is not None and encoder_attention_mask is not None:
            check_mask("encoder_attention_mask", encoder_attention_mask, batch, length, encoder_hidden_states.shape[1])
            context.cross_mask = encoder_mask(encoder_attention_mask, skip_full=skip_full)
        device = self.LayerNorm.weight.device
        if self.config.is_decoder:
            if skip_full and attention_mask is not None and attention_mask.dim() == 2 and bool(attention_mask.all()):
                attention_mask = None
            context.mask = causal_mask(attention_mask, length, past, device)
            context.causal = attention_mask is None and past == 0 and length > 1
            return context
        plain = head_mask is None and not wants_attentions and self.config.position_embedding_type == "absolute"
        pools_pads = self.pooler is not None and pads_come_first(attention_mask)
        if plain and not every_position and not pools_pads:
            context.packing = plan_packing(attention_mask)
        if context.packing is None:
            context.mask = encoder_mask(attention_mask, skip_full=skip_full)
        return context

    def _positions(
        self, input_ids: Tensor | None, words: Tensor, cache: KeyValueCache | None, shape: tuple[int, int]
    ) -> Tensor:
        """Default positions; with a cache they go on from the number of tokens in it that are no pads."""
        config = self.config
        before: Tensor | int = 0
        if cache is not None:
            before = cache.get_seq_length() if cache.real_tokens is None else cache.real_tokens[:, None]
            if input_ids is not None:
                new = input_ids.ne(config.pad_token_id).sum(dim=1)
                cache.real_tokens = new if isinstance(before, int) else before[:, 0] + new
        return default_positions(input_ids, shape, config, before, words.device)

    def _embed(self, words: Tensor, positions: Tensor, types: Tensor | None, context: Context) -> Tensor:
        """The embeddings, of the real tokens alone where the batch is packed."""
        if context.packing is not None:
            shape = (context.packing.batch, context.packing.length)
            words = context.packing.pack(words)
            positions = context.packing.pack(positions.expand(shape))
            types = None if types is None else context.packing.pack(types.expand(shape))
        embedded: Tensor = self.embeddings(words, positions, types)
        return embedded
