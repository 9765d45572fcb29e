"""The encoder or decoder without a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import BaseModelOutputWithPoolingAndCrossAttentions
from prenorm_model.torch.base import PretrainedModel
from prenorm_model.torch.cache import KeyValueCache, PastKeyValues, as_cache
from prenorm_model.torch.context import Collected, Context
from prenorm_model.torch.embeddings import RobertaPreLayerNormEmbeddings, default_positions
from prenorm_model.torch.facts import are_values_known
from prenorm_model.torch.inputs import ModelInputs, check_all
from prenorm_model.torch.layer import WIDE_BYTES, Encoder
from prenorm_model.torch.masks import causal_mask, encoder_mask, pads_come_first
from prenorm_model.torch.packing import MIN_PADS, Packing, plan_packing
from prenorm_model.torch.positional import in_documented_orders


class Pooler(nn.Module):
    """tanh(W x + b) of the first token.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Pool a sequence into one vector.

        Args:
            hidden: [batch, length, hidden].

        Returns:
            [batch, hidden].
        """
        return torch.tanh(self.dense(hidden[:, 0]))


class RobertaPreLayerNormModel(PretrainedModel):
    """Embeddings, layers, final norm; with `add_pooling_layer` a pooler. With `config.is_decoder` a decoder.

    Attributes:
        min_pads: from how many pads an encoder's batch is computed without them. The outputs are the same: a proof lowers it,
            to see both ways with a batch that it can afford.
        wide_bytes: how large the widest values of a feed-forward block may be on the CPU, before they are computed in
            pieces; likewise.

    Args:
        config: the model's configuration.
        add_pooling_layer: whether to add the pooler.
    """

    base_prefix = ""
    min_pads = MIN_PADS
    wide_bytes = WIDE_BYTES

    def __init__(self, config: RobertaPreLayerNormConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = RobertaPreLayerNormEmbeddings(config)
        self.encoder = Encoder(config)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.finish_init()

    @in_documented_orders
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: PastKeyValues | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        every_position: bool = False,
    ) -> Any:
        """Encode a batch, or as a decoder continue one.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length] or [batch, length, length] (with a cache, its tokens counted in the last size),
                non-zero where to attend; default: everywhere. What comes out at masked positions means nothing. Or
                [batch or 1, heads or 1, length, length], which takes the place of a decoder's own mask too: as floating
                point it is added to the scores, else it is non-zero where to attend.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length], or with as many dimensions more as `attention_mask`.
            past_key_values: the cache that an earlier forward returned, or past tuples.
            use_cache: whether to return one; default for a decoder: `config.use_cache`.
            cache_position: [length], the places of the tokens behind those in the cache; there are no others.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            output_attentions: whether to return attention weights; default: the config's.
            output_hidden_states: whether to return every layer's output; default: the config's.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            num_items_in_batch: taken, as transformers does, and not looked at: no loss but the causal LM's divides by it.
            every_position: compute the outputs at masked positions too, even where leaving them out would be faster.

        Returns:
            `BaseModelOutputWithPoolingAndCrossAttentions`, or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        inputs = ModelInputs(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, head_mask,
        )  # fmt: skip
        cache = as_cache(past_key_values)
        shape = check_all(self.config, inputs, cache, use_cache, cache_position)
        collected = Collected(
            self._cache(cache, use_cache),
            keeps_weights=self.config.output_attentions if output_attentions is None else output_attentions,
        )
        context = self._context(inputs, shape, collected, every_position=every_position)
        keep_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = self._encode(inputs, shape, context, collected, keep_states=keep_states)
        if use_cache is False:
            output.past_key_values = None
        return self.result(output, return_dict)

    def _cache(self, past_key_values: KeyValueCache | None, use_cache: bool | None) -> KeyValueCache | None:
        """Return the cache to use: the one that was given, else a new one where a decoder is to return one."""
        if past_key_values is not None or not self.config.is_decoder:
            return past_key_values
        if self.encoder.checkpointing is not None and self.training:
            return None  # each layer runs twice, and must not add its keys twice
        if use_cache is None and torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return None  # a traced graph has tensors, and dictionaries and tuples of them, to return
        return KeyValueCache() if (self.config.use_cache if use_cache is None else use_cache) else None

    def _encode(
        self, inputs: ModelInputs, shape: tuple[int, int], context: Context, collected: Collected, *, keep_states: bool
    ) -> BaseModelOutputWithPoolingAndCrossAttentions[Tensor]:
        """Compute embeddings, layers, final norm and pooler of checked inputs."""
        x = self._embed(inputs, shape, collected.cache, context.packing)
        x, states = self.encoder(x, context, collected, keep_states=keep_states)
        x = self.LayerNorm(x)
        if context.packing is not None:
            x = context.packing.unpack(x)
            states = tuple(context.packing.unpack(state) for state in states)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            past_key_values=collected.cache,
            hidden_states=states if keep_states else None,
            attentions=tuple(collected.attentions) if collected.keeps_weights else None,
            cross_attentions=tuple(collected.cross_attentions) if collected.cross_attentions else None,
        )

    def _context(
        self, inputs: ModelInputs, shape: tuple[int, int], collected: Collected, *, every_position: bool
    ) -> Context:
        """Return the masks, the packing and the rest that all layers share."""
        mask, is_causal, packing = None, False, None
        if self.config.is_decoder:
            mask, is_causal = self._causal_mask(inputs.attention_mask, shape[1], collected.cache)
        else:
            packing = None if every_position else self._packing(inputs, collected.keeps_weights)
            if packing is None:
                mask = encoder_mask(inputs.attention_mask, skip_full=are_values_known())
        return Context(
            self.wide_bytes,
            mask=mask,
            is_causal=is_causal,
            packing=packing,
            head_mask=self._head_mask(inputs.head_mask),
            cross_states=inputs.encoder_hidden_states,
            cross_mask=encoder_mask(inputs.encoder_attention_mask, skip_full=are_values_known()),
        )

    def _causal_mask(
        self, mask: Tensor | None, queries: int, cache: KeyValueCache | None
    ) -> tuple[Tensor | None, bool]:
        """Return a decoder's mask, [1 or batch, 1, queries, past + queries], and whether it is plainly causal."""
        past = 0 if cache is None else cache.get_seq_length()
        if mask is not None and mask.dim() == 2 and are_values_known() and bool(mask.all()):
            mask = None
        is_causal = mask is None and bool(past == 0 and queries > 1)  # `bool`, for an exported size is none
        return causal_mask(mask, queries, past, self.LayerNorm.weight.device), is_causal

    def _packing(self, inputs: ModelInputs, keeps_weights: bool) -> Packing | None:
        """Return the packing of an encoder's batch, where leaving out the pads is possible and a gain."""
        is_plain = inputs.head_mask is None and not keeps_weights and self.config.position_embedding_type == "absolute"
        pools_pads = self.pooler is not None and pads_come_first(inputs.attention_mask)
        return plan_packing(inputs.attention_mask, self.min_pads) if is_plain and not pools_pads else None

    def _head_mask(self, head_mask: Tensor | None) -> Tensor | None:
        """[heads] or [layers, heads] -> [layers, 1, heads, 1, 1]."""
        if head_mask is None:
            return None
        return head_mask.expand(self.config.num_hidden_layers, self.config.num_attention_heads)[:, None, :, None, None]

    def _embed(
        self, inputs: ModelInputs, shape: tuple[int, int], cache: KeyValueCache | None, packing: Packing | None
    ) -> Tensor:
        """Return the embeddings, [batch, length, hidden], or of the real tokens alone where the batch is packed."""
        words = inputs.input_ids if inputs.inputs_embeds is None else inputs.inputs_embeds
        assert words is not None
        types, counted = inputs.token_type_ids, self._count_positions(inputs.input_ids, words.device, cache, shape)
        positions = counted if inputs.position_ids is None else inputs.position_ids
        if packing is not None:
            words = packing.pack(words)
            positions = packing.pack(positions.expand(shape))
            types = None if types is None else packing.pack(types.expand(shape))
        embedded: Tensor = self.embeddings(words, positions, types)
        return embedded

    def _count_positions(
        self, input_ids: Tensor | None, device: torch.device, cache: KeyValueCache | None, shape: tuple[int, int]
    ) -> Tensor:
        """Return the default positions; with a cache they go on from its real tokens, to which the new ones are added."""
        past: Tensor | int = 0
        if cache is not None:
            is_real = torch.ones(shape, dtype=torch.bool, device=device)
            past = cache.add_real(is_real if input_ids is None else input_ids.ne(self.config.pad_token_id))
        return default_positions(input_ids, shape, self.config, past, device)
