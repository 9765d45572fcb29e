"""The encoder or decoder without a head."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.base import PretrainedModel
from prenorm_model.keras.cache import KeyValueCache, PastTuples, as_cache
from prenorm_model.keras.context import Collected, Context
from prenorm_model.keras.embeddings import RobertaPreLayerNormEmbeddings, default_positions
from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.inputs import ModelInputs, check_all, documented
from prenorm_model.keras.layer import Encoder
from prenorm_model.keras.linear import Block, Linear, Norm
from prenorm_model.keras.masks import as_bool, causal_mask, encoder_mask, pads_come_first
from prenorm_model.keras.packing import MIN_PADS, Packing, plan_packing
from prenorm_model.outputs import BaseModelOutputWithPoolingAndCrossAttentions


class Pooler(Block):
    """tanh(x W + b) of the first token.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="pooler")
        self.dense = Linear(config.hidden_size, config.hidden_size, config, "dense")

    def call(self, hidden: Tensor) -> Tensor:
        """Pool a sequence into one vector.

        Args:
            hidden: [batch, length, hidden].

        Returns:
            [batch, hidden].
        """
        return ops.tanh(self.dense(hidden[:, 0]))


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormModel(PretrainedModel):
    """Embeddings, layers, final norm; with `add_pooling_layer` a pooler. With `config.is_decoder` a decoder.

    Attributes:
        min_pads: from how many pads an encoder's batch is computed without them, where values are known. The outputs are the
            same: a proof lowers it, to see both ways with a batch that it can afford.

    Args:
        config: the model's configuration.
        add_pooling_layer: whether to add the pooler.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    base_prefix = ""
    label_names = ()
    logit_names = ("last_hidden_state",)
    min_pads = MIN_PADS

    def __init__(
        self,
        config: RobertaPreLayerNormConfig,
        add_pooling_layer: bool = True,
        *,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(config, dtype=dtype, name=name)
        with self.parts():
            self.embeddings = RobertaPreLayerNormEmbeddings(config)
            self.encoder = Encoder(config)
            self.LayerNorm = Norm(config, "LayerNorm")
            self.pooler = Pooler(config) if add_pooling_layer else None

    def get_config(self) -> dict[str, Any]:
        """Return what the model is made of, as a `.keras` file states it.

        Returns:
            The constructor's arguments; the configuration as config.json states it.
        """
        return {**super().get_config(), "add_pooling_layer": self.pooler is not None}

    @documented
    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: PastTuples | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = False,
        every_position: bool = False,
    ) -> Any:
        """Encode a batch, or as a decoder continue one.

        Args:
            input_ids: [batch, length], integers.
            attention_mask: [batch, length] or [batch, length, length] (with a cache, its tokens counted in the last size),
                non-zero where to attend; default: everywhere. What comes out at masked positions means nothing. Or
                [batch or 1, heads or 1, length, length], which takes the place of a decoder's own mask too: as floating
                point it is added to the scores, else it is non-zero where to attend.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out; with a cache they go on from its
                tokens, those left out that an `attention_mask` [batch, past + length] masks.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length], or with as many dimensions more as `attention_mask`.
            past_key_values: past tuples, as an earlier call returned them.
            use_cache: whether to return them; default for a decoder: `config.use_cache`.
            output_attentions: whether to return attention weights; default: the config's.
            output_hidden_states: whether to return every layer's output; default: the config's.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            training: whether dropout is at work.
            every_position: compute the outputs at masked positions too, even where leaving them out would be faster.

        Returns:
            `BaseModelOutputWithPoolingAndCrossAttentions`, or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        inputs = ModelInputs(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, self._computed(inputs_embeds),
            self._computed(encoder_hidden_states), encoder_attention_mask,
        )  # fmt: skip
        cache = as_cache(past_key_values)
        check_all(self.config, inputs, cache, use_cache)
        wants_cache = self.config.is_decoder and (self.config.use_cache if use_cache is None else use_cache)
        keeps_weights = self.config.output_attentions if output_attentions is None else output_attentions
        collected = Collected(KeyValueCache() if cache is None and wants_cache else cache, keeps_weights=keeps_weights)
        past = self._count_past(cache, attention_mask)
        context = self._context(inputs, collected, every_position=every_position)
        keep_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = self._encode(inputs, past, context, collected, keep_states=keep_states)
        if not wants_cache:
            output.past_key_values = None
        return self.result(output, return_dict)

    def _computed(self, x: Tensor | None) -> Tensor | None:
        """Return features in the type that is computed in."""
        return None if x is None else ops.cast(x, self.compute_dtype)

    def _encode(
        self, inputs: ModelInputs, past: Tensor | int, context: Context, collected: Collected, *, keep_states: bool
    ) -> BaseModelOutputWithPoolingAndCrossAttentions[Tensor]:
        """Compute embeddings, layers, final norm and pooler of checked inputs."""
        packing = context.packing
        x = self._embed(inputs, past, packing)
        x, states = self.encoder(x, context=context, collected=collected, keep_states=keep_states)
        x = packing.unpack_states(self.LayerNorm(x))
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            past_key_values=None if collected.cache is None else collected.cache.to_legacy_cache(),
            hidden_states=tuple(packing.unpack_states(state) for state in states) if keep_states else None,
            attentions=tuple(collected.attentions) if collected.keeps_weights else None,
            cross_attentions=tuple(collected.cross_attentions) if collected.cross_attentions else None,
        )

    def _context(self, inputs: ModelInputs, collected: Collected, *, every_position: bool) -> Context:
        """Return the masks, the packing and the rest that all layers share."""
        words = inputs.input_ids if inputs.inputs_embeds is None else inputs.inputs_embeds
        batch, length = ops.shape(words)[:2]
        if self.config.is_decoder:
            packing = plan_packing(None, batch, length)
            past = (
                0
                if collected.cache is None or not collected.cache.layers
                else ops.shape(collected.cache.layers[0][0])[2]
            )
            mask = causal_mask(inputs.attention_mask, length, past)
        else:
            skips = not every_position and self._may_skip(inputs, collected.keeps_weights)
            packing = plan_packing(
                inputs.attention_mask, batch, length, self.min_pads if skips else None, self.real_tokens
            )
            mask = encoder_mask(inputs.attention_mask)
        return Context(
            packing,
            mask=mask,
            head_mask=self._head_mask(inputs.head_mask),
            cross_states=inputs.encoder_hidden_states,
            cross_mask=encoder_mask(inputs.encoder_attention_mask),
        )

    def _may_skip(self, inputs: ModelInputs, keeps_weights: bool) -> bool:
        """Return whether nothing that comes out would be missed, if the pads were left out."""
        is_plain = inputs.head_mask is None and not keeps_weights and self.config.position_embedding_type == "absolute"
        return is_plain and not (self.pooler is not None and pads_come_first(inputs.attention_mask))

    def _head_mask(self, head_mask: Tensor | None) -> Tensor | None:
        """[heads] or [layers, heads] -> [layers, 1, heads, 1, 1]."""
        if head_mask is None:
            return None
        sizes = (self.config.num_hidden_layers, self.config.num_attention_heads)
        return ops.broadcast_to(head_mask, sizes)[:, None, :, None, None]

    def _count_past(self, cache: KeyValueCache | None, mask: Tensor | None) -> Tensor | int:
        """Return how many tokens of the cache take a position: for all rows, or [batch, 1] where a mask leaves some out."""
        if cache is None or not cache.layers:
            return 0
        past = ops.shape(cache.layers[0][0])[2]
        if mask is None or len(mask.shape) != 2:
            return past
        return ops.sum(ops.cast(as_bool(mask)[:, :past], "int32"), axis=1, keepdims=True)

    def _embed(self, inputs: ModelInputs, past: Tensor | int, packing: Packing) -> Tensor:
        """Return the embeddings of the tokens that are computed, [tokens, hidden]."""
        words = inputs.input_ids if inputs.inputs_embeds is None else inputs.inputs_embeds
        assert words is not None
        shape = ops.shape(words)[:2]
        positions, types = inputs.position_ids, inputs.token_type_ids
        if positions is None:
            positions = default_positions(inputs.input_ids, shape, self.config, past)
        return self.embeddings(
            packing.pack(words),
            position_ids=packing.pack(ops.broadcast_to(positions, shape)),
            token_type_ids=None if types is None else packing.pack(ops.broadcast_to(types, shape)),
        )
