"""Heads that classify: a sequence, a choice among sequences, each token, or the two ends of a span."""

from __future__ import annotations

from flax import nnx
from jax import Array
from jax import numpy as jnp

from prenorm_model.checks import check_choices, check_two_labels
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.base import FlaxPretrainedModel
from prenorm_model.flax.dropout import drop
from prenorm_model.flax.facts import shape_of
from prenorm_model.flax.inputs import FlaxInputs, FlaxRun
from prenorm_model.flax.linear import Making, linear
from prenorm_model.flax.modeling import FlaxRobertaPreLayerNormModule
from prenorm_model.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

_HEAD = 2  # the place where a head's dropouts draw, behind those of embeddings and layers


class FlaxClassificationHead(nnx.Module):
    """out_proj(tanh(dense(x))) of the first token, with dropout before each map.

    Args:
        config: the model's configuration.
        making: how parameters are made.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making) -> None:
        self.dense = linear(config.hidden_size, config.hidden_size, making)
        self.dropout = config.head_dropout
        self.out_proj = linear(config.hidden_size, config.label_count, making)

    def __call__(self, hidden: Array, keys: tuple[Array | None, Array | None]) -> Array:
        """Score every label.

        Args:
            hidden: [batch, length, hidden].
            keys: where the two dropouts draw from.

        Returns:
            [batch, labels].
        """
        pooled = jnp.tanh(self.dense(drop(self.dropout, hidden[:, 0], keys[0])))
        return self.out_proj(drop(self.dropout, pooled, keys[1]))


class FlaxClassifierModule(nnx.Module):
    """What the classifying models share.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew.
    """

    has_pooler = False

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making, *, gradient_checkpointing: bool) -> None:
        self.roberta_prelayernorm = FlaxRobertaPreLayerNormModule(
            config, making, add_pooling_layer=self.has_pooler, gradient_checkpointing=gradient_checkpointing
        )


class FlaxSequenceClassifierModule(FlaxClassifierModule):
    """Classification or regression of a whole sequence, by its first token.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making, *, gradient_checkpointing: bool) -> None:
        super().__init__(config, making, gradient_checkpointing=gradient_checkpointing)
        self.classifier = FlaxClassificationHead(config, making)

    def __call__(self, inputs: FlaxInputs, run: FlaxRun) -> SequenceClassifierOutput[Array]:
        """Score every label of a sequence.

        Args:
            inputs: what to compute on.
            run: how.

        Returns:
            The output, with logits [batch, labels].
        """
        encoded = self.roberta_prelayernorm(inputs, run, pools_first=True)
        logits = self.classifier(encoded.last_hidden_state, (run.key(_HEAD), run.key(_HEAD + 1)))
        return SequenceClassifierOutput(None, logits, encoded.hidden_states, encoded.attentions)


class FlaxMultipleChoiceModule(FlaxClassifierModule):
    """Choice among several sequences, each scored by its pooled first token.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew.
    """

    has_pooler = True

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making, *, gradient_checkpointing: bool) -> None:
        super().__init__(config, making, gradient_checkpointing=gradient_checkpointing)
        self.dropout = config.hidden_dropout_prob
        self.classifier = linear(config.hidden_size, 1, making)

    def __call__(self, inputs: FlaxInputs, run: FlaxRun) -> MultipleChoiceModelOutput[Array]:
        """Score every choice.

        Args:
            inputs: what to compute on, each with a dimension of choices behind the batch's.
            run: how.

        Returns:
            The output, with logits [batch, choices].
        """
        shape = inputs.input_ids.shape
        names = ("attention_mask", "token_type_ids", "position_ids")
        others = {name: shape_of(getattr(inputs, name)) for name in names}
        check_choices("input_ids", tuple(shape), others, has_features=False)

        def flat(x: Array | None) -> Array | None:
            return None if x is None else x.reshape(-1, *x.shape[2:])

        flattened = inputs._replace(
            input_ids=inputs.input_ids.reshape(-1, shape[2]), attention_mask=flat(inputs.attention_mask),
            token_type_ids=flat(inputs.token_type_ids), position_ids=flat(inputs.position_ids),
        )  # fmt: skip
        encoded = self.roberta_prelayernorm(flattened, run, pools_first=True)
        logits = self.classifier(drop(self.dropout, encoded.pooler_output, run.key(_HEAD))).reshape(shape[:2])
        return MultipleChoiceModelOutput(None, logits, encoded.hidden_states, encoded.attentions)


class FlaxTokenClassifierModule(FlaxClassifierModule):
    """A class for every token.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making, *, gradient_checkpointing: bool) -> None:
        super().__init__(config, making, gradient_checkpointing=gradient_checkpointing)
        self.dropout = config.head_dropout
        self.classifier = linear(config.hidden_size, config.label_count, making)

    def __call__(self, inputs: FlaxInputs, run: FlaxRun) -> TokenClassifierOutput[Array]:
        """Score every label at every position.

        Args:
            inputs: what to compute on.
            run: how.

        Returns:
            The output, with logits [batch, length, labels].
        """
        encoded = self.roberta_prelayernorm(inputs, run)
        logits = self.classifier(drop(self.dropout, encoded.last_hidden_state, run.key(_HEAD)))
        return TokenClassifierOutput(None, logits, encoded.hidden_states, encoded.attentions)


class FlaxQuestionAnsweringModule(FlaxClassifierModule):
    """The first and the last token of an answer within the text.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making, *, gradient_checkpointing: bool) -> None:
        super().__init__(config, making, gradient_checkpointing=gradient_checkpointing)
        check_two_labels(config)
        self.qa_outputs = linear(config.hidden_size, 2, making)

    def __call__(self, inputs: FlaxInputs, run: FlaxRun) -> QuestionAnsweringModelOutput[Array]:
        """Score every position as the start and as the end of the answer.

        A softmax over the length sees masked positions too, so all of them are computed.

        Args:
            inputs: what to compute on.
            run: how.

        Returns:
            The output, with start and end logits [batch, length].
        """
        encoded = self.roberta_prelayernorm(inputs, run, every_position=True)
        logits = self.qa_outputs(encoded.last_hidden_state)
        return QuestionAnsweringModelOutput(
            None, logits[..., 0], logits[..., 1], encoded.hidden_states, encoded.attentions
        )


class FlaxClassifier(FlaxPretrainedModel):
    """A model around one of the modules above."""

    module_class: type[FlaxClassifierModule]

    def make_module(self, making: Making, *, gradient_checkpointing: bool) -> FlaxClassifierModule:
        """Return the NNX module.

        Args:
            making: how parameters are made.
            gradient_checkpointing: whether a gradient computes each layer anew.

        Returns:
            The module.
        """
        return self.module_class(self.config, making, gradient_checkpointing=gradient_checkpointing)


class FlaxRobertaPreLayerNormForSequenceClassification(FlaxClassifier):
    """Classification or regression of a whole sequence, by its first token: logits [batch, labels]."""

    module_class = FlaxSequenceClassifierModule


class FlaxRobertaPreLayerNormForMultipleChoice(FlaxClassifier):
    """Choice among several sequences, ids [batch, choices, length]: logits [batch, choices]."""

    module_class = FlaxMultipleChoiceModule


class FlaxRobertaPreLayerNormForTokenClassification(FlaxClassifier):
    """A class for every token: logits [batch, length, labels]."""

    module_class = FlaxTokenClassifierModule


class FlaxRobertaPreLayerNormForQuestionAnswering(FlaxClassifier):
    """The first and the last token of an answer within the text: start and end logits [batch, length]."""

    module_class = FlaxQuestionAnsweringModule
