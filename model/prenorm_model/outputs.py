"""What the models return: typed, with the documented fields, readable by name, by index, and by unpacking.

The fields hold the arrays of whichever framework computed them, `ArrayT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

ArrayT = TypeVar("ArrayT")


@dataclass
class ModelOutput(Generic[ArrayT]):
    """A result. Fields that are None are absent from indexing and unpacking, as in Hugging Face's outputs."""

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the fields that are not None, in order."""
        return tuple(value for item in fields(self) if (value := getattr(self, item.name)) is not None)

    def keys(self) -> list[str]:
        """Return the names of the fields that are not None, in order."""
        return [item.name for item in fields(self) if getattr(self, item.name) is not None]

    def __getitem__(self, key: str | int | slice) -> Any:
        """Return a field by its name, or by its place among those that are not None."""
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the fields that are not None, so that an output can be unpacked."""
        return iter(self.to_tuple())

    def __len__(self) -> int:
        """Return the number of fields that are not None."""
        return len(self.to_tuple())

    def __contains__(self, key: object) -> bool:
        """Return whether the field of that name is not None."""
        return key in self.keys()


@dataclass
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput[ArrayT]):
    """The encoder's or decoder's result.

    Attributes:
        last_hidden_state: [batch, length, hidden], after the final norm.
        pooler_output: [batch, hidden]; None without a pooler.
        past_key_values: the cache for the next forward, of the framework's own class; None where there is none.
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        attentions: the weights of each layer, [batch, heads, length, past + length].
        cross_attentions: the weights of each layer, [batch, heads, length, encoder length].
    """

    last_hidden_state: ArrayT
    pooler_output: ArrayT | None = None
    past_key_values: Any = None
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None
    cross_attentions: tuple[ArrayT, ...] | None = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput[ArrayT]):
    """The causal language model's result.

    Attributes:
        loss: scalar; None without labels.
        logits: [batch, length, vocab], or as many positions as `logits_to_keep` says.
        past_key_values: the cache for the next forward, of the framework's own class; None where there is none.
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        attentions: the weights of each layer, [batch, heads, length, past + length].
        cross_attentions: the weights of each layer, [batch, heads, length, encoder length].
    """

    loss: ArrayT | None
    logits: ArrayT
    past_key_values: Any = None
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None
    cross_attentions: tuple[ArrayT, ...] | None = None


@dataclass
class HeadOutput(ModelOutput[ArrayT]):
    """The result of a model with a head on the encoder.

    Attributes:
        loss: scalar; None without labels.
        logits: of the shape that the subclass states.
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        attentions: the weights of each layer, [batch, heads, length, length].
    """

    loss: ArrayT | None
    logits: ArrayT
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None


class MaskedLMOutput(HeadOutput[ArrayT]):
    """The masked language model's result: `logits` [batch, length, vocab]."""


class SequenceClassifierOutput(HeadOutput[ArrayT]):
    """The sequence classifier's result: `logits` [batch, labels]."""


class MultipleChoiceModelOutput(HeadOutput[ArrayT]):
    """The multiple-choice model's result: `logits` [batch, choices]."""


class TokenClassifierOutput(HeadOutput[ArrayT]):
    """The token classifier's result: `logits` [batch, length, labels]."""


@dataclass
class QuestionAnsweringModelOutput(ModelOutput[ArrayT]):
    """The question-answering model's result.

    Attributes:
        loss: scalar; None without labels.
        start_logits: [batch, length].
        end_logits: [batch, length].
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        attentions: the weights of each layer, [batch, heads, length, length].
    """

    loss: ArrayT | None
    start_logits: ArrayT
    end_logits: ArrayT
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None
