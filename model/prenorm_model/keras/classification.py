"""Heads that classify: a sequence, a choice among sequences, each token, or the two ends of a span."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from prenorm_model.checks import IGNORED, check_choices, check_two_labels
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.base import PretrainedModel
from prenorm_model.keras.facts import Tensor, shape_of
from prenorm_model.keras.inputs import documented
from prenorm_model.keras.linear import Block, Linear
from prenorm_model.keras.losses import choice_loss, sequence_loss, span_loss, token_loss
from prenorm_model.keras.masks import labels_reach_pads, pads_come_first
from prenorm_model.keras.modeling import TFRobertaPreLayerNormModel
from prenorm_model.naming import BASE_PREFIX
from prenorm_model.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)


class ClassificationHead(Block):
    """out_proj(tanh(dense(x))) of the first token, with dropout before each map.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="classifier")
        self.dense = Linear(config.hidden_size, config.hidden_size, config, "dense")
        self.dropout = keras.layers.Dropout(config.head_dropout)
        self.out_proj = Linear(config.hidden_size, config.label_count, config, "out_proj")

    def call(self, hidden: Tensor) -> Tensor:
        """Score every label.

        Args:
            hidden: [batch, length, hidden].

        Returns:
            [batch, labels].
        """
        pooled = ops.tanh(self.dense(self.dropout(hidden[:, 0])))
        return self.out_proj(self.dropout(pooled))


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormForSequenceClassification(PretrainedModel):
    """Classification or regression of a whole sequence, by its first token.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(config, dtype=dtype, name=name)
        with self.parts():
            self.roberta_prelayernorm = TFRobertaPreLayerNormModel(config, False, name=BASE_PREFIX)
            self.classifier = ClassificationHead(config)

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
        """Score every label of a sequence.

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
            labels: by `config.problem_type`: [batch] of classes, [batch] or [batch, labels] of numbers, or [batch, labels]
                of zeros and ones (as floating point). Without a problem type, one label means regression, integers mean
                one class of several, floating point several classes at once.
            training: whether dropout is at work.

        Returns:
            `SequenceClassifierOutput` with logits [batch, labels] and loss [batch], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds, return_dict=True,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states,
            every_position=pads_come_first(attention_mask),
        )  # fmt: skip
        logits = self.classifier(encoded.last_hidden_state)
        loss = None if labels is None else sequence_loss(logits, labels, self.config)
        return self.result(
            SequenceClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict
        )

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [batch]."""
        return sequence_loss(output.logits, labels["labels"], self.config)


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormForMultipleChoice(PretrainedModel):
    """Choice among several sequences, each scored by its pooled first token.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    input_rank = 3

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(config, dtype=dtype, name=name)
        with self.parts():
            self.roberta_prelayernorm = TFRobertaPreLayerNormModel(config, True, name=BASE_PREFIX)
            self.dropout = keras.layers.Dropout(config.hidden_dropout_prob)
            self.classifier = Linear(config.hidden_size, 1, config, "classifier")

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
        """Score every choice.

        Args:
            input_ids: [batch, choices, length], integers.
            attention_mask: [batch, choices, length], non-zero where to attend; default: everywhere.
            token_type_ids: [batch, choices, length]; default: zeros.
            position_ids: [batch, choices, length]; default: counted as fairseq does, pads left out.
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            inputs_embeds: [batch, choices, length, hidden], in place of `input_ids`.
            output_attentions: whether to return attention weights; default: the config's.
            output_hidden_states: whether to return every layer's output; default: the config's.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            labels: [batch], the right choice.
            training: whether dropout is at work.

        Returns:
            `MultipleChoiceModelOutput` with logits [batch, choices] and loss [batch], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        name, inputs = ("input_ids", input_ids) if inputs_embeds is None else ("inputs_embeds", inputs_embeds)
        if inputs is not None:
            others = {"attention_mask": attention_mask, "token_type_ids": token_type_ids, "position_ids": position_ids}
            shapes = {other: shape_of(item) for other, item in others.items()}
            check_choices(name, tuple(inputs.shape), shapes, has_features=inputs_embeds is not None)

        def flat(x: Tensor | None) -> Tensor | None:
            return None if x is None else ops.reshape(x, (-1, *ops.shape(x)[2:]))

        encoded = self.roberta_prelayernorm(
            flat(input_ids), flat(attention_mask), flat(token_type_ids), flat(position_ids), head_mask,
            flat(inputs_embeds), return_dict=True, output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )  # fmt: skip
        assert inputs is not None  # the encoder has refused anything else
        logits = ops.reshape(self.classifier(self.dropout(encoded.pooler_output)), (-1, ops.shape(inputs)[1]))
        loss = None if labels is None else choice_loss(logits, labels)
        return self.result(
            MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict
        )

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [batch]."""
        return choice_loss(output.logits, labels["labels"])


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormForTokenClassification(PretrainedModel):
    """A class for every token.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(config, dtype=dtype, name=name)
        with self.parts():
            self.roberta_prelayernorm = TFRobertaPreLayerNormModel(config, False, name=BASE_PREFIX)
            self.dropout = keras.layers.Dropout(config.head_dropout)
            self.classifier = Linear(config.hidden_size, config.label_count, config, "classifier")

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
        """Score every label at every position.

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
            labels: [batch, length], -100 where there is none.
            training: whether dropout is at work.

        Returns:
            `TokenClassifierOutput` with logits [batch, length, labels] and loss [1], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds, return_dict=True,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states,
            every_position=labels_reach_pads(labels, attention_mask, IGNORED),
        )  # fmt: skip
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None if labels is None else token_loss(logits, labels)
        return self.result(TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [1]."""
        return token_loss(output.logits, labels["labels"])


@keras.saving.register_keras_serializable("prenorm_model")
class TFRobertaPreLayerNormForQuestionAnswering(PretrainedModel):
    """The first and the last token of an answer within the text.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.

    Raises:
        ValueError: if the config has not two labels.
    """

    label_names = ("start_positions", "end_positions")
    logit_names = ("start_logits", "end_logits")

    def __init__(self, config: RobertaPreLayerNormConfig, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(config, dtype=dtype, name=name)
        check_two_labels(config)
        with self.parts():
            self.roberta_prelayernorm = TFRobertaPreLayerNormModel(config, False, name=BASE_PREFIX)
            self.qa_outputs = Linear(config.hidden_size, 2, config, "qa_outputs")

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
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        training: bool | None = False,
    ) -> Any:
        """Score every position as the start and as the end of the answer.

        A softmax over the length sees masked positions too, so all of them are computed.

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
            start_positions: [batch] or [batch, 1], the answer's first token; outside the sequence: ignored.
            end_positions: [batch] or [batch, 1], its last token; outside the sequence: ignored.
            training: whether dropout is at work.

        Returns:
            `QuestionAnsweringModelOutput` with start and end logits [batch, length] and loss [batch], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds, return_dict=True,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, every_position=True,
        )  # fmt: skip
        ends = self.qa_outputs(encoded.last_hidden_state)
        start_logits, end_logits = ends[..., 0], ends[..., 1]
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions)
        output = QuestionAnsweringModelOutput(loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions)
        return self.result(output, return_dict)

    def _own_loss(self, output: Any, **labels: Tensor) -> Tensor:
        """Return the loss of an output that was computed without labels, [batch]."""
        return span_loss(output.start_logits, output.end_logits, labels["start_positions"], labels["end_positions"])
