"""What the models return: typed, with the documented fields, readable by name, by index, and by unpacking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from prenorm_model.torch.cache import KeyValueCache


@dataclass
class ModelOutput:
    """A result. Fields that are None are not there for indexing and unpacking, as in Hugging Face's outputs."""

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are there, in order."""
        return tuple(value for item in fields(self) if (value := getattr(self, item.name)) is not None)

    def keys(self) -> list[str]:
        """The names of the fields that are there, in order."""
        return [item.name for item in fields(self) if getattr(self, item.name) is not None]

    def __getitem__(self, key: str | int | slice) -> Any:
        """A field by name, or by its place among those that are there."""
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[Any]:
        """The fields that are there, so that an output can be unpacked."""
        return iter(self.to_tuple())

    def __len__(self) -> int:
        """How many fields are there."""
        return len(self.to_tuple())

    def __contains__(self, key: object) -> bool:
        """Whether a field of that name is there."""
        return key in self.keys()


@dataclass
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput):
    """The encoder's or decoder's result.

    `last_hidden_state` [batch, length, hidden], after the final norm; `pooler_output` [batch, hidden]; `hidden_states`:
    the embeddings and the output of every layer, before the final norm, each [batch, length, hidden]; `attentions` and
    `cross_attentions`: a layer's weights each, [batch, heads, queries, keys].
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    past_key_values: KeyValueCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """`loss` scalar; `logits` [batch, length or as many as were asked for, vocab]; the rest as for the encoder."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: KeyValueCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


@dataclass
class HeadOutput(ModelOutput):
    """`loss` scalar; `logits`, of the shape that the head's class states; the rest as for the encoder."""

    loss: Tensor | None
    logits: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class MaskedLMOutput(HeadOutput):
    """`logits` [batch, length, vocab]."""


class SequenceClassifierOutput(HeadOutput):
    """`logits` [batch, labels]."""


class MultipleChoiceModelOutput(HeadOutput):
    """`logits` [batch, choices]."""


class TokenClassifierOutput(HeadOutput):
    """`logits` [batch, length, labels]."""


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """`loss` scalar; `start_logits` and `end_logits` [batch, length]; the rest as for the encoder."""

    loss: Tensor | None
    start_logits: Tensor
    end_logits: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
