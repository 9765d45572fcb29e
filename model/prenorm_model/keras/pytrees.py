"""The outputs as trees: Keras, and JAX below it, look into them for the tensors that a compiled function returns."""

from __future__ import annotations

from typing import Any

import keras
import optree

from prenorm_model.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

_OUTPUTS: tuple[type[ModelOutput[Any]], ...] = (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)


def register_outputs() -> None:
    """Make the outputs known as trees to Keras, and to JAX where Keras computes by it."""
    trees: Any = optree  # its types know no mapping that is a tree of its values
    for kind in _OUTPUTS:
        if trees.tree_is_leaf(kind(), namespace="keras"):
            trees.register_pytree_node(kind, _fields_and_entries, _maker(kind), namespace="keras")
    if keras.backend.backend() == "jax":
        import jax

        for kind in _OUTPUTS:
            if jax.tree_util.all_leaves([kind()]):
                jax.tree_util.register_pytree_node(kind, _fields, _maker(kind))


def _fields(output: ModelOutput[Any]) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return an output's values and their names."""
    return output.to_tuple(), tuple(output)


def _fields_and_entries(output: ModelOutput[Any]) -> tuple[tuple[Any, ...], tuple[str, ...], tuple[str, ...]]:
    """Return an output's values, their names, and these once more, by which paths name the values."""
    return output.to_tuple(), tuple(output), tuple(output)


def _maker(kind: type[ModelOutput[Any]]) -> Any:
    """Return the function that makes an output again of names and values."""

    def make(names: tuple[str, ...], values: Any) -> ModelOutput[Any]:
        output = kind()  # filled afterwards: what Keras puts in may be a list, which the constructor takes for pairs
        for name, value in zip(names, values, strict=True):
            output[name] = value
        return output

    return make
