"""The encoder or decoder without a head."""

from __future__ import annotations

from typing import Any

from flax import nnx
from jax import Array
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.base import FlaxPretrainedModel
from prenorm_model.flax.cache import add_real, advance, room_of
from prenorm_model.flax.context import FlaxCollected, FlaxContext
from prenorm_model.flax.embeddings import FlaxRobertaPreLayerNormEmbeddings, positions_from_ids
from prenorm_model.flax.inputs import FlaxInputs, FlaxRun, check_all
from prenorm_model.flax.layer import FlaxEncoder
from prenorm_model.flax.linear import Making, linear, norm
from prenorm_model.flax.masks import causal_mask, encoder_mask, pads_come_first
from prenorm_model.flax.packing import FlaxPacking, plan_packing
from prenorm_model.outputs import BaseModelOutputWithPoolingAndCrossAttentions


class FlaxPooler(nnx.Module):
    """tanh(W x + b) of the first token.

    Args:
        config: the model's configuration.
        making: how parameters are made.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making) -> None:
        self.dense = linear(config.hidden_size, config.hidden_size, making)

    def __call__(self, hidden: Array) -> Array:
        """Pool a sequence into one vector.

        Args:
            hidden: [batch, length, hidden].

        Returns:
            [batch, hidden].
        """
        return jnp.tanh(self.dense(hidden[:, 0]))


class FlaxRobertaPreLayerNormModule(nnx.Module):
    """Embeddings, layers, final norm; with `add_pooling_layer` a pooler. With `config.is_decoder` a decoder.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        add_pooling_layer: whether to add the pooler.
        gradient_checkpointing: whether a gradient computes each layer anew, instead of keeping what is in between.
    """

    def __init__(
        self,
        config: RobertaPreLayerNormConfig,
        making: Making,
        *,
        add_pooling_layer: bool = True,
        gradient_checkpointing: bool = False,
    ) -> None:
        self.config = nnx.static(config)
        self.embeddings = FlaxRobertaPreLayerNormEmbeddings(config, making)
        self.encoder = FlaxEncoder(config, making, gradient_checkpointing=gradient_checkpointing)
        self.LayerNorm = norm(config, making)
        self.pooler = FlaxPooler(config, making) if add_pooling_layer else None

    def __call__(
        self, inputs: FlaxInputs, run: FlaxRun, *, pools_first: bool = False, every_position: bool = False
    ) -> Any:
        """Encode a batch, or as a decoder continue one.

        Args:
            inputs: what to compute on.
            run: how.
            pools_first: whether a head looks at the first token, which may be a pad.
            every_position: compute the outputs at masked positions too, even where leaving them out would be faster.

        Returns:
            `BaseModelOutputWithPoolingAndCrossAttentions`.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        shape = check_all(self.config, inputs, run.cache)
        collected = FlaxCollected(run.cache, keeps_weights=run.output_attentions)
        past = 0 if run.cache is None else run.cache["length"]
        packing = None
        if not every_position and not (pools_first and pads_come_first(inputs.attention_mask)):
            packing = self._packing(inputs, run)
        context = self._context(inputs, run, shape[1], past, packing)
        x = self._embed(inputs, shape, collected, context.at(0))
        x, states = self.encoder(x, context.at(1), collected, keep_states=run.output_hidden_states)
        x = self.LayerNorm(x)
        if packing is not None:
            x, states = packing.unpack_states(x), tuple(packing.unpack_states(state) for state in states)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            past_key_values=None if collected.cache is None else advance(collected.cache, shape[1]),
            hidden_states=states if run.output_hidden_states else None,
            attentions=tuple(collected.attentions) if run.output_attentions else None,
            cross_attentions=tuple(collected.cross_attentions) if collected.cross_attentions else None,
        )

    def _packing(self, inputs: FlaxInputs, run: FlaxRun) -> FlaxPacking | None:
        """Return the packing of an encoder's batch, where leaving out the pads is possible and a gain."""
        is_plain = not self.config.is_decoder and not run.output_attentions
        return plan_packing(inputs.attention_mask, run.min_pads, run.real_tokens) if is_plain else None

    def _context(
        self, inputs: FlaxInputs, run: FlaxRun, length: int, past: Array | int, packing: FlaxPacking | None
    ) -> FlaxContext:
        """Return the masks, the packing and the rest that all layers share."""
        if self.config.is_decoder:
            keys = length if run.cache is None else room_of(run.cache)
            mask: Array | None = causal_mask(inputs.attention_mask, length, past, keys)
        else:
            mask = encoder_mask(inputs.attention_mask)
        return FlaxContext(
            mask=mask,
            packing=packing,
            head_mask=self._head_mask(inputs.head_mask),
            cross_states=inputs.encoder_hidden_states,
            cross_mask=encoder_mask(inputs.encoder_attention_mask),
            dropout_key=run.dropout_key,
        )

    def _head_mask(self, head_mask: Array | None) -> Array | None:
        """[heads] or [layers, heads] -> [layers, 1, heads, 1, 1]."""
        if head_mask is None:
            return None
        full = jnp.broadcast_to(head_mask, (self.config.num_hidden_layers, self.config.num_attention_heads))
        return full[:, None, :, None, None]

    def _embed(
        self, inputs: FlaxInputs, shape: tuple[int, int], collected: FlaxCollected, context: FlaxContext
    ) -> Array:
        """Return the embeddings, [batch, length, hidden], or of the real tokens alone where the batch is packed."""
        past: Array | int = 0
        if collected.cache is not None:
            collected.cache, past = add_real(collected.cache, inputs.input_ids != self.config.pad_token_id)
        positions, types, words = inputs.position_ids, inputs.token_type_ids, inputs.input_ids
        if positions is None:
            positions = positions_from_ids(words, self.config.pad_token_id, past)
        if context.packing is not None:
            words = context.packing.pack(words)
            positions = context.packing.pack(jnp.broadcast_to(positions, shape))
            types = None if types is None else context.packing.pack(jnp.broadcast_to(types, shape))
        return self.embeddings(words, positions, types, context)


class FlaxRobertaPreLayerNormModel(FlaxPretrainedModel):
    """Embeddings, layers, final norm; with `add_pooling_layer` a pooler. With `config.is_decoder` a decoder.

    Attributes:
        add_pooling_layer: whether there is a pooler.

    Args:
        config: the configuration.
        input_shape: taken, as transformers does, and not needed: no shape of a parameter depends on it.
        seed: of the fresh weights.
        dtype: the type to compute in.
        _do_init: whether to draw weights; without, `params` are to be passed with every call, and `init_weights` draws them.
        gradient_checkpointing: whether a gradient computes each layer anew, instead of keeping what is in between.
        add_pooling_layer: whether to add the pooler.

    Raises:
        TypeError: if the config is none of this model's.
        ValueError: naming every field of the config that cannot work, or if the dtype is none that is computed in.
    """

    base_prefix = ""

    def __init__(
        self,
        config: RobertaPreLayerNormConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: Any = jnp.float32,
        _do_init: bool = True,
        gradient_checkpointing: bool = False,
        *,
        add_pooling_layer: bool = True,
    ) -> None:
        self.add_pooling_layer = add_pooling_layer
        super().__init__(config, input_shape, seed, dtype, _do_init, gradient_checkpointing)

    def make_module(self, making: Making, *, gradient_checkpointing: bool) -> FlaxRobertaPreLayerNormModule:
        """Return the NNX module.

        Args:
            making: how parameters are made.
            gradient_checkpointing: whether a gradient computes each layer anew.

        Returns:
            The module.
        """
        return FlaxRobertaPreLayerNormModule(
            self.config, making, add_pooling_layer=self.add_pooling_layer, gradient_checkpointing=gradient_checkpointing
        )
