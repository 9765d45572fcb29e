"""What all models share: the documented call, around an NNX module that is put together anew from parameters each time."""

from __future__ import annotations

from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from prenorm_model.flax.cache import FlaxCache, as_cache, empty_cache
from prenorm_model.flax.inputs import FlaxInputs, FlaxRun, as_array
from prenorm_model.flax.packing import MIN_PADS
from prenorm_model.flax.pretrained import FlaxSavedModel


class FlaxPretrainedModel(FlaxSavedModel):
    """A model: it computes, loads and saves.

    Attributes:
        min_pads: from how many pads an encoder's batch is computed without them. The outputs are the same: a proof lowers it,
            to see both ways with a batch that it can afford.
    """

    min_pads = MIN_PADS

    def __call__(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        encoder_hidden_states: Any = None,
        encoder_attention_mask: Any = None,
        params: Any = None,
        dropout_rng: Array | None = None,
        train: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        past_key_values: FlaxCache | None = None,
        *,
        real_tokens: int | None = None,
    ) -> Any:
        """Compute a batch: a function of inputs and parameters, which jit, grad and vmap take.

        Args:
            input_ids: [batch, length], for multiple choice [batch, choices, length]; of JAX or numpy, or lists.
            attention_mask: the shape of `input_ids`, or [batch, length, length], non-zero where to attend; default:
                everywhere. With a cache, the tokens in it come first, and the mask may cover all of its room. What comes out
                at masked positions means nothing. Or [batch or 1, heads or 1, length, length], which takes the place of a
                decoder's own mask too: as floating point it is added to the scores.
            token_type_ids: the shape of `input_ids`; default: zeros.
            position_ids: the shape of `input_ids`; default: counted as fairseq does, pads left out.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            encoder_hidden_states: [batch, encoder length, hidden], for a decoder with cross-attention.
            encoder_attention_mask: [batch, encoder length].
            params: the parameters, a tree as `model.params`; default: that.
            dropout_rng: a key that dropouts draw from.
            train: whether there is dropout.
            output_attentions: whether to return attention weights; default: the config's.
            output_hidden_states: whether to return every layer's output; default: the config's.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            past_key_values: the cache of a decoder: what `init_cache` returned, or an earlier call.
            real_tokens: how many ones the attention mask has, at most: an encoder computes so many tokens, and no pads.
                Outside a trace the mask says it; inside, one with more gives NaN alone.

        Returns:
            The output of the documented class, without a loss: `prenorm_model.flax.losses` has them. Or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit, where values can be seen, that is, outside a trace.
        """
        arguments = (
            (input_ids, "ids"), (attention_mask, "mask"), (token_type_ids, "ids"), (position_ids, "ids"), (head_mask, ""),
            (encoder_hidden_states, ""), (encoder_attention_mask, "mask"),
        )  # fmt: skip
        arrays: list[Any] = [as_array(item, kind) for item, kind in arguments]
        inputs = FlaxInputs(*arrays)
        run = FlaxRun(
            cache=as_cache(past_key_values),
            dropout_key=self._dropout_key(train, dropout_rng),
            output_attentions=self.config.output_attentions if output_attentions is None else output_attentions,
            output_hidden_states=self.config.output_hidden_states
            if output_hidden_states is None
            else output_hidden_states,
            min_pads=self.min_pads,
            real_tokens=real_tokens,
        )
        output = self.bind(self.params if params is None else params)(inputs, run)
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    def _dropout_key(self, train: bool, dropout_rng: Array | None) -> Array | None:
        """Return where dropouts draw from; None where there are none."""
        rates = self.config.hidden_dropout_prob, self.config.attention_probs_dropout_prob, self.config.head_dropout
        if not train or not any(rates):
            return None
        if dropout_rng is None:
            raise ValueError("train=True needs a dropout_rng, such as jax.random.key(0), which dropouts draw from")
        return dropout_rng

    def init_cache(self, batch_size: int, max_length: int) -> FlaxCache:
        """Return an empty cache for a decoder.

        Args:
            batch_size: number of sequences.
            max_length: how many tokens of each it takes.

        Returns:
            The cache, to be passed as `past_key_values`.

        Raises:
            ValueError: for an encoder.
        """
        if not self.config.is_decoder:
            raise ValueError("init_cache was called on an encoder; a cache needs a config with is_decoder=True")
        return empty_cache(self.config, batch_size, max_length, self.dtype)

    def to_bf16(self, params: Any, mask: Any = None) -> Any:
        """Return parameters in bfloat16.

        Args:
            params: a tree of parameters.
            mask: the same tree of truths, false where a parameter keeps its type; default: all change.

        Returns:
            The tree.
        """
        return _cast(params, jnp.bfloat16, mask)

    def to_fp16(self, params: Any, mask: Any = None) -> Any:
        """Return parameters in float16.

        Args:
            params: a tree of parameters.
            mask: the same tree of truths, false where a parameter keeps its type; default: all change.

        Returns:
            The tree.
        """
        return _cast(params, jnp.float16, mask)

    def to_fp32(self, params: Any, mask: Any = None) -> Any:
        """Return parameters in float32.

        Args:
            params: a tree of parameters.
            mask: the same tree of truths, false where a parameter keeps its type; default: all change.

        Returns:
            The tree.
        """
        return _cast(params, jnp.float32, mask)


def _cast(params: Any, dtype: Any, mask: Any) -> Any:
    """Return a tree of another floating-point type, where the mask lets it."""

    def cast(leaf: Array, changes: bool) -> Array:
        return leaf.astype(dtype) if changes and jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, params, jax.tree.map(lambda _: True, params) if mask is None else mask)
