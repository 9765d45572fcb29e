"""What the models return: typed, with the documented fields, readable by name and by index.

The fields hold the arrays of whichever framework computed them, `ArrayT`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from inspect import get_annotations
from typing import Any, Generic, TypeVar

ArrayT = TypeVar("ArrayT")


class _Item:
    """A field that is kept as an item of its output, and is None where there is no such item."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, output: ModelOutput[Any] | None, owner: type | None = None) -> Any:
        return None if output is None else output.get(self._name)

    def __set__(self, output: ModelOutput[Any], value: Any) -> None:
        output[self._name] = value


@dataclass(repr=False, eq=False)
class ModelOutput(OrderedDict[str, Any], Generic[ArrayT]):
    """A result: an ordered mapping of the fields that are not None, each of them an attribute too.

    Integers and slices index the values alone. The first argument may also be a mapping, or pairs of name and value, that
    hold all fields: so `torch.nn.DataParallel`, accelerate and others rebuild an output.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in get_annotations(cls):
            setattr(cls, name, _Item(name))

    def __post_init__(self) -> None:
        """Take the fields out of the first argument, where it holds them all."""
        first = self.get(fields(self)[0].name)
        if isinstance(first, Mapping | Iterator | list):
            self.clear()
            self.update(first)

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the fields that are not None, in order.

        Returns:
            Their values, without names.
        """
        return tuple(self.values())

    def __getitem__(self, key: str | int | slice) -> Any:
        """Return a field by its name, or by its place among those that are not None."""
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setitem__(self, name: str, value: Any) -> None:
        if value is None:
            self.pop(name, None)
        else:
            super().__setitem__(name, value)


@dataclass(repr=False, eq=False)
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput[ArrayT]):
    """The encoder's or decoder's result.

    Attributes:
        last_hidden_state: [batch, length, hidden], after the final norm.
        pooler_output: [batch, hidden]; None without a pooler.
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        past_key_values: the cache for the next forward, of the framework's own class; None where there is none.
        attentions: the weights of each layer, [batch, heads, length, past + length].
        cross_attentions: the weights of each layer, [batch, heads, length, encoder length].
    """

    last_hidden_state: ArrayT | None = None
    pooler_output: ArrayT | None = None
    hidden_states: tuple[ArrayT, ...] | None = None
    past_key_values: Any = None
    attentions: tuple[ArrayT, ...] | None = None
    cross_attentions: tuple[ArrayT, ...] | None = None


@dataclass(repr=False, eq=False)
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

    loss: ArrayT | None = None
    logits: ArrayT | None = None
    past_key_values: Any = None
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None
    cross_attentions: tuple[ArrayT, ...] | None = None


@dataclass(repr=False, eq=False)
class HeadOutput(ModelOutput[ArrayT]):
    """The result of a model with a head on the encoder.

    Attributes:
        loss: scalar; None without labels.
        logits: of the shape that the subclass states.
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        attentions: the weights of each layer, [batch, heads, length, length].
    """

    loss: ArrayT | None = None
    logits: ArrayT | None = None
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None


# A dataclass each, though without a field of their own: TorchScript compiles a class of no methods, and then takes its
# instances for objects that a traced graph cannot return, and not for mappings.
@dataclass(repr=False, eq=False)
class MaskedLMOutput(HeadOutput[ArrayT]):
    """The masked language model's result: `logits` [batch, length, vocab]."""


@dataclass(repr=False, eq=False)
class SequenceClassifierOutput(HeadOutput[ArrayT]):
    """The sequence classifier's result: `logits` [batch, labels]."""


@dataclass(repr=False, eq=False)
class MultipleChoiceModelOutput(HeadOutput[ArrayT]):
    """The multiple-choice model's result: `logits` [batch, choices]."""


@dataclass(repr=False, eq=False)
class TokenClassifierOutput(HeadOutput[ArrayT]):
    """The token classifier's result: `logits` [batch, length, labels]."""


@dataclass(repr=False, eq=False)
class QuestionAnsweringModelOutput(ModelOutput[ArrayT]):
    """The question-answering model's result.

    Attributes:
        loss: scalar; None without labels.
        start_logits: [batch, length].
        end_logits: [batch, length].
        hidden_states: the embeddings and the output of every layer, before the final norm, each [batch, length, hidden].
        attentions: the weights of each layer, [batch, heads, length, length].
    """

    loss: ArrayT | None = None
    start_logits: ArrayT | None = None
    end_logits: ArrayT | None = None
    hidden_states: tuple[ArrayT, ...] | None = None
    attentions: tuple[ArrayT, ...] | None = None
