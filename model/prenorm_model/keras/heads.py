"""Language-model heads: masked and causal."""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import ops

from prenorm_model.checks import IGNORED
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.activations import gelu
from prenorm_model.keras.base import PretrainedModel
from prenorm_model.keras.cache import PastTuples
from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.inputs import documented
from prenorm_model.keras.linear import Block, Linear, Norm
from prenorm_model.keras.losses import next_token_loss, token_loss
from prenorm_model.keras.masks import labels_reach_pads
from prenorm_model.keras.modeling import TFRobertaPreLayerNormModel
from prenorm_model.naming import BASE_PREFIX, tied_names
from prenorm_model.outputs import CausalLMOutputWithCrossAttentions, MaskedLMOutput


class LMHead(Block):
    """decoder(norm(gelu(dense(x)))) + bias. Its activation is always gelu, whatever the config's `hidden_act` is.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="lm_head")
        self.rows = config.vocab_size
        self.dense = Linear(config.hidden_size, config.hidden_size, config, "dense")
        self.layer_norm = Norm(config, "layer_norm")
        # A tied head has no matrix of its own, and is handed the word embeddings.
        if not config.tie_word_embeddings:
            self.decoder = Linear(config.hidden_size, config.vocab_size, config, "decoder", use_bias=False)

    def build(self, input_shape: Any = None) -> None:
        """Make the variables.

        Args:
            input_shape: not needed; the layers know their sizes.
        """
        super().build(input_shape)
        self.bias = self.add_weight(name="bias", shape=(self.rows,), initializer="zeros")

    def call(self, features: Tensor, words: Tensor | None = None) -> Tensor:
        """Score every token of the vocabulary.

        Args:
            features: [batch, length, hidden].
            words: [vocab, hidden], the word embeddings, where the head is tied to them.

        Returns:
            [batch, length, vocab].
        """
        batch, length = ops.shape(features)[:2]
        x = ops.reshape(features, (-1, features.shape[-1]))
        x = self.layer_norm(gelu(self.dense(x)))
        scores = self.decoder(x) if words is None else ops.einsum("th,vh->tv", x, ops.cast(words, x.dtype))
        return ops.reshape(scores + self.bias, (batch, length, self.rows))


class LanguageModel(PretrainedModel):
    """What both language models share: encoder or decoder, head, and how they are tied.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(config, dtype=dtype, name=name)
        with self.parts():
            self.roberta_prelayernorm = TFRobertaPreLayerNormModel(config, add_pooling_layer=False, name=BASE_PREFIX)
            self.lm_head = LMHead(config)

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """Return the tied weights of the head: its bias always, its matrix where the config ties it to the embeddings.

        Args:
            config: says what is tied.

        Returns:
            The name under which each is saved, by its own name, the alias.
        """
        return tied_names(config)

    def score(self, hidden: Tensor) -> Tensor:
        """Score every token of the vocabulary.

        Args:
            hidden: [batch, length, hidden].

        Returns:
            [batch, length, vocab].
        """
        words = (
            self.roberta_prelayernorm.embeddings.word_embeddings.embeddings if self.config.tie_word_embeddings else None
        )
        return self.lm_head(hidden, words=words)


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormForMaskedLM(LanguageModel):
    """The encoder with the masked-LM head; with `tie_word_embeddings` the head shares the word embeddings.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    @documented
    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labels: Tensor | None = None,
        training: bool | None = False,
    ) -> Any:
        """Score every token of the vocabulary at every position.

        Args:
            input_ids: [batch, length], integers.
            attention_mask: [batch, length], or as in `TFRobertaPreLayerNormModel.call`; default: attend everywhere.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            output_attentions: whether to return attention weights; default: the config's.
            output_hidden_states: whether to return every layer's output; default: the config's.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            labels: [batch, length]: the tokens to predict, -100 where nothing is.
            training: whether dropout is at work.

        Returns:
            `MaskedLMOutput` with logits [batch, length, vocab] and loss [1], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds, return_dict=True,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states,
            every_position=labels_reach_pads(labels, attention_mask, IGNORED),
        )  # fmt: skip
        logits = self.score(encoded.last_hidden_state)
        loss = None if labels is None else token_loss(logits, labels)
        return self.result(MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [1]."""
        return token_loss(output.logits, labels["labels"])


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormForCausalLM(LanguageModel):
    """The decoder with the LM head: each position predicts the next token. Needs `is_decoder=True`.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(config, dtype=dtype, name=name)
        if not config.is_decoder:
            warnings.warn(
                "is_decoder is False, so every position sees the whole text, the next token too", stacklevel=2
            )

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
        labels: Tensor | None = None,
        training: bool | None = False,
    ) -> Any:
        """Score every token of the vocabulary as the one that follows each position.

        Args:
            input_ids: [batch, length], integers.
            attention_mask: [batch, past + length], or as in `TFRobertaPreLayerNormModel.call`.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length].
            past_key_values: past tuples, as an earlier call returned them.
            use_cache: whether to return them; default: the config's.
            output_attentions: whether to return attention weights; default: the config's.
            output_hidden_states: whether to return every layer's output; default: the config's.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            labels: [batch, length]: the text itself, -100 where nothing is predicted; shifted in here.
            training: whether dropout is at work.

        Returns:
            `CausalLMOutputWithCrossAttentions` with logits [batch, length, vocab] and loss [1], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        decoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, past_key_values, use_cache, output_attentions, output_hidden_states, return_dict=True,
        )  # fmt: skip
        logits = self.score(decoded.last_hidden_state)
        loss = None if labels is None else next_token_loss(logits, labels)
        output = CausalLMOutputWithCrossAttentions(
            loss, logits, decoded.past_key_values, decoded.hidden_states, decoded.attentions, decoded.cross_attentions
        )
        return self.result(output, return_dict)

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [1]."""
        return next_token_loss(output.logits, labels["labels"])
