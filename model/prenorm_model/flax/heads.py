"""Language-model heads: masked and causal."""

from __future__ import annotations

from typing import Any

from flax import nnx
from jax import Array
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.activations import gelu
from prenorm_model.flax.base import FlaxPretrainedModel
from prenorm_model.flax.inputs import FlaxInputs, FlaxRun
from prenorm_model.flax.linear import Making, linear, norm
from prenorm_model.flax.modeling import FlaxRobertaPreLayerNormModule
from prenorm_model.outputs import CausalLMOutputWithCrossAttentions, MaskedLMOutput


class FlaxLMHead(nnx.Module):
    """decoder(norm(gelu(dense(x)))). Its activation is always gelu, whatever the config's `hidden_act` is.

    Args:
        config: the model's configuration. Where it ties the map onto the vocabulary to the word embeddings, none is here.
        making: how parameters are made.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making) -> None:
        self.dense = linear(config.hidden_size, config.hidden_size, making)
        self.layer_norm = norm(config, making)
        is_tied = config.tie_word_embeddings
        self.decoder = None if is_tied else linear(config.hidden_size, config.vocab_size, making, has_bias=False)
        self.bias = nnx.Param(jnp.zeros(config.vocab_size))

    def __call__(self, features: Array, words: nnx.Embed) -> Array:
        """Score every token of the vocabulary.

        Args:
            features: [..., hidden].
            words: the word embeddings.

        Returns:
            [..., vocab].
        """
        x = self.layer_norm(gelu(self.dense(features)))
        scores = words.attend(x) if self.decoder is None else self.decoder(x)
        return scores + self.bias[...].astype(scores.dtype)


class FlaxLanguageModule(nnx.Module):
    """Encoder or decoder, and the head.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew.
        output_class: what the model returns.
    """

    def __init__(
        self,
        config: RobertaPreLayerNormConfig,
        making: Making,
        *,
        gradient_checkpointing: bool,
        output_class: type[MaskedLMOutput[Array]] | type[CausalLMOutputWithCrossAttentions[Array]],
    ) -> None:
        self.output_class = output_class
        self.roberta_prelayernorm = FlaxRobertaPreLayerNormModule(
            config, making, add_pooling_layer=False, gradient_checkpointing=gradient_checkpointing
        )
        self.lm_head = FlaxLMHead(config, making)

    def __call__(self, inputs: FlaxInputs, run: FlaxRun) -> Any:
        """Score every token of the vocabulary at every position.

        Args:
            inputs: what to compute on.
            run: how.

        Returns:
            The output, with logits [batch, length, vocab].

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(inputs, run)
        logits = self.lm_head(encoded.last_hidden_state, self.roberta_prelayernorm.embeddings.word_embeddings)
        encoded["logits"] = logits
        names = self.output_class.__dataclass_fields__
        return self.output_class(**{name: value for name, value in encoded.items() if name in names})


class FlaxRobertaPreLayerNormForMaskedLM(FlaxPretrainedModel):
    """The encoder with the masked-LM head: logits [batch, length, vocab].

    With `tie_word_embeddings` the head shares the word embeddings.
    """

    def make_module(self, making: Making, *, gradient_checkpointing: bool) -> FlaxLanguageModule:
        """Return the NNX module.

        Args:
            making: how parameters are made.
            gradient_checkpointing: whether a gradient computes each layer anew.

        Returns:
            The module.
        """
        return FlaxLanguageModule(
            self.config, making, gradient_checkpointing=gradient_checkpointing, output_class=MaskedLMOutput
        )


class FlaxRobertaPreLayerNormForCausalLM(FlaxPretrainedModel):
    """The decoder with the language-model head: logits [batch, length, vocab]."""

    def make_module(self, making: Making, *, gradient_checkpointing: bool) -> FlaxLanguageModule:
        """Return the NNX module.

        Args:
            making: how parameters are made.
            gradient_checkpointing: whether a gradient computes each layer anew.

        Returns:
            The module.
        """
        return FlaxLanguageModule(
            self.config, making, gradient_checkpointing=gradient_checkpointing,
            output_class=CausalLMOutputWithCrossAttentions,
        )  # fmt: skip

    def prepare_inputs_for_generation(
        self, input_ids: Array, max_length: int, attention_mask: Array | None = None
    ) -> dict[str, Any]:
        """Return what to call the model with to continue texts: a cache, a mask over all of its room, and positions.

        Args:
            input_ids: [batch, length].
            max_length: how many tokens a text may have in the end.
            attention_mask: [batch, length], zero at pads; default: there are none.

        Returns:
            Keyword arguments, one mask for every step, so that one compiled function does them all.
        """
        batch, length = input_ids.shape
        mask = (
            jnp.ones((batch, length), jnp.int32) if attention_mask is None else jnp.asarray(attention_mask, jnp.int32)
        )
        pad = self.config.pad_token_id
        return {
            "past_key_values": self.init_cache(batch, max_length),
            "attention_mask": jnp.ones((batch, max_length), jnp.int32).at[:, :length].set(mask),
            "position_ids": jnp.cumsum(mask, axis=1) * mask + pad,
        }

    def update_inputs_for_generation(self, model_outputs: Any, model_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return what to call the model with for the next token.

        Args:
            model_outputs: what the model returned.
            model_kwargs: what it was called with.

        Returns:
            The same with the new cache, and the position behind the last one.
        """
        positions = model_kwargs["position_ids"][:, -1:] + 1
        return {**model_kwargs, "past_key_values": model_outputs.past_key_values, "position_ids": positions}
