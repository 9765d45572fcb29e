"""Heads that classify: a sequence, a choice among sequences, each token, or the two ends of a span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prenorm_model.checks import IGNORED, check_choices, check_two_labels
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from prenorm_model.torch.base import PretrainedModel
from prenorm_model.torch.facts import shape_of
from prenorm_model.torch.inputs import ModelOptions
from prenorm_model.torch.losses import choice_loss, sequence_loss, span_loss, token_loss
from prenorm_model.torch.masks import labels_reach_pads, pads_come_first
from prenorm_model.torch.modeling import RobertaPreLayerNormModel
from prenorm_model.torch.positional import in_documented_orders

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on


class ClassificationHead(nn.Module):
    """out_proj(tanh(dense(x))) of the first token, with dropout before each map.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.head_dropout)
        self.out_proj = nn.Linear(config.hidden_size, config.label_count)

    def forward(self, hidden: Tensor) -> Tensor:
        """Score every label.

        Args:
            hidden: [batch, length, hidden].

        Returns:
            [batch, labels].
        """
        pooled = torch.tanh(self.dense(self.dropout(hidden[:, 0])))
        logits: Tensor = self.out_proj(self.dropout(pooled))
        return logits


class _Classifier(PretrainedModel):
    """What the classifying models share."""

    has_pooler = False

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.num_labels = config.label_count
        self.roberta_prelayernorm = RobertaPreLayerNormModel(config, add_pooling_layer=self.has_pooler)


class RobertaPreLayerNormForSequenceClassification(_Classifier):
    """Classification or regression of a whole sequence, by its first token.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.classifier = ClassificationHead(config)
        self.finish_init()

    @in_documented_orders
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        return_dict: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> Any:
        """Score every label of a sequence.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length], or as in `RobertaPreLayerNormModel.forward`; default: attend everywhere.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            labels: by `config.problem_type`: [batch] of classes, [batch] or [batch, labels] of numbers, or [batch, labels]
                of zeros and ones (as floating point). Without a problem type, one label means regression, integers mean
                one class of several, floating point several classes at once.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            **options: other arguments of `RobertaPreLayerNormModel.forward`.

        Returns:
            `SequenceClassifierOutput` with logits [batch, labels], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True,
            every_position=pads_come_first(attention_mask), **options,
        )  # fmt: skip
        logits = self.classifier(encoded.last_hidden_state)
        loss = None if labels is None else sequence_loss(logits, labels, self.config)
        return self.result(
            SequenceClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict
        )


class RobertaPreLayerNormForMultipleChoice(_Classifier):
    """Choice among several sequences, each scored by its pooled first token.

    Args:
        config: the model's configuration.
    """

    has_pooler = True

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.finish_init()

    @in_documented_orders
    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        return_dict: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> Any:
        """Score every choice.

        Args:
            input_ids: [batch, choices, length], int64.
            token_type_ids: [batch, choices, length]; default: zeros.
            attention_mask: [batch, choices, length], non-zero where to attend; default: everywhere.
            labels: [batch], the right choice.
            position_ids: [batch, choices, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, choices, length, hidden], in place of `input_ids`.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            **options: other arguments of `RobertaPreLayerNormModel.forward`.

        Returns:
            `MultipleChoiceModelOutput` with logits [batch, choices], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        name, inputs = ("input_ids", input_ids) if inputs_embeds is None else ("inputs_embeds", inputs_embeds)
        if inputs is not None:
            others = {"attention_mask": attention_mask, "token_type_ids": token_type_ids, "position_ids": position_ids}
            shapes = {other: shape_of(item) for other, item in others.items()}
            check_choices(name, tuple(inputs.shape), shapes, has_features=inputs_embeds is not None)

        def flat(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.flatten(0, 1)

        encoded = self.roberta_prelayernorm(
            flat(input_ids), flat(attention_mask), flat(token_type_ids), flat(position_ids), flat(inputs_embeds),
            return_dict=True, **options,
        )  # fmt: skip
        assert inputs is not None  # the encoder has refused anything else
        logits = self.classifier(self.dropout(encoded.pooler_output)).view(inputs.shape[:2])
        loss = None if labels is None else choice_loss(logits, labels)
        return self.result(
            MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict
        )


class RobertaPreLayerNormForTokenClassification(_Classifier):
    """A class for every token.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.label_count)
        self.finish_init()

    @in_documented_orders
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        return_dict: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> Any:
        """Score every label at every position.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length], or as in `RobertaPreLayerNormModel.forward`; default: attend everywhere.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            labels: [batch, length], -100 where there is none.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            **options: other arguments of `RobertaPreLayerNormModel.forward`.

        Returns:
            `TokenClassifierOutput` with logits [batch, length, labels], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True,
            every_position=labels_reach_pads(labels, attention_mask, IGNORED), **options,
        )  # fmt: skip
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None if labels is None else token_loss(logits, labels)
        return self.result(TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)


class RobertaPreLayerNormForQuestionAnswering(_Classifier):
    """The first and the last token of an answer within the text.

    Args:
        config: the model's configuration.

    Raises:
        ValueError: if the config has not two labels.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        check_two_labels(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.finish_init()

    @in_documented_orders
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        return_dict: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> Any:
        """Score every position as the start and as the end of the answer.

        A softmax over the length sees masked positions too, so all of them are computed.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length], or as in `RobertaPreLayerNormModel.forward`; default: attend everywhere.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            start_positions: [batch] or [batch, 1], the answer's first token; outside the sequence: ignored.
            end_positions: [batch] or [batch, 1], its last token; outside the sequence: ignored.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            **options: other arguments of `RobertaPreLayerNormModel.forward`.

        Returns:
            `QuestionAnsweringModelOutput` with start and end logits [batch, length], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True,
            every_position=True, **options,
        )  # fmt: skip
        start_logits, end_logits = self.qa_outputs(encoded.last_hidden_state).unbind(dim=-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions)
        output = QuestionAnsweringModelOutput(loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions)
        return self.result(output, return_dict)
