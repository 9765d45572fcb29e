"""Heads that classify: a sequence, a choice among sequences, each token, or the two ends of a span."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from prenorm_model.torch.base import PretrainedModel
from prenorm_model.torch.heads import labels_reach_pads
from prenorm_model.torch.losses import choice_loss, sequence_loss, span_loss, token_loss
from prenorm_model.torch.modeling import RobertaPreLayerNormModel
from prenorm_model.torch.packing import pads_come_first


class ClassificationHead(nn.Module):
    """out_proj(tanh(dense(x))) of the first token, with dropout before each map."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.head_dropout)
        self.out_proj = nn.Linear(config.hidden_size, config.label_count)

    def forward(self, hidden: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, labels]."""
        pooled = torch.tanh(self.dense(self.dropout(hidden[:, 0])))
        logits: Tensor = self.out_proj(self.dropout(pooled))
        return logits


class _Classifier(PretrainedModel):
    """What the classifying models share. Arguments that are not listed go to `RobertaPreLayerNormModel.forward`."""

    has_pooler = False

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.num_labels = config.label_count
        self.roberta_prelayernorm = RobertaPreLayerNormModel(config, add_pooling_layer=self.has_pooler)


class RobertaPreLayerNormForSequenceClassification(_Classifier):
    """Classification or regression of a whole sequence, by its first token."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.classifier = ClassificationHead(config)
        self.finish_init()

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
        **options: Any,
    ) -> Any:
        """Scores [batch, labels].

        Args:
            labels: by `config.problem_type`: [batch] of classes, [batch] or [batch, labels] of numbers, or [batch, labels]
                of zeros and ones (as floating point). Without a problem type, one label means regression, integers mean
                one class of several, floating point several classes at once.

        Returns:
            `SequenceClassifierOutput`, or a tuple.
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
    """Choice among several sequences, each scored by its pooled first token."""

    has_pooler = True

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.finish_init()

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
        **options: Any,
    ) -> Any:
        """Scores [batch, choices].

        Args:
            input_ids, token_type_ids, attention_mask, position_ids: [batch, choices, length].
            inputs_embeds: [batch, choices, length, hidden].
            labels: [batch], the right choice.

        Returns:
            `MultipleChoiceModelOutput`, or a tuple.

        Raises:
            ValueError: if the inputs have no dimension of choices.
        """
        name, given = ("input_ids", input_ids) if inputs_embeds is None else ("inputs_embeds", inputs_embeds)
        wanted = 3 if inputs_embeds is None else 4
        if given is not None and given.dim() != wanted:
            tail = "" if wanted == 3 else ", hidden"
            raise ValueError(f"{name} has shape {list(given.shape)}; it must be [batch, choices, length{tail}]")

        def flat(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.flatten(0, 1)

        encoded = self.roberta_prelayernorm(
            flat(input_ids), flat(attention_mask), flat(token_type_ids), flat(position_ids), flat(inputs_embeds),
            return_dict=True, **options,
        )  # fmt: skip
        assert given is not None  # the encoder has refused anything else
        logits = self.classifier(self.dropout(encoded.pooler_output)).view(given.shape[:2])
        loss = None if labels is None else choice_loss(logits, labels)
        return self.result(
            MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict
        )


class RobertaPreLayerNormForTokenClassification(_Classifier):
    """A class for every token."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.label_count)
        self.finish_init()

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
        **options: Any,
    ) -> Any:
        """Scores [batch, length, labels]; `labels` [batch, length], -100 where there is none.

        Returns:
            `TokenClassifierOutput`, or a tuple.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, return_dict=True,
            every_position=labels_reach_pads(labels, attention_mask), **options,
        )  # fmt: skip
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None if labels is None else token_loss(logits, labels)
        return self.result(TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)


class RobertaPreLayerNormForQuestionAnswering(_Classifier):
    """The first and the last token of an answer within the text."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        if config.label_count != 2:
            raise ValueError(f"num_labels is {config.label_count}; question answering has 2, the start and the end")
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.finish_init()

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
        **options: Any,
    ) -> Any:
        """Scores of start and end, each [batch, length]; `start_positions`, `end_positions` [batch].

        A softmax over the length sees masked positions too, so all of them are computed.

        Returns:
            `QuestionAnsweringModelOutput`, or a tuple.
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
