"""Match the stored weights of a folder with the parameters of a model, by name and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prenorm_model.naming import BASE_PREFIX

Shape = tuple[int, ...]

# What a folder may hold that a model has no use for: other tasks' heads, and tables that are no weights.
_OTHER_PARTS = ("lm_head.", "classifier.", "qa_outputs.", "pooler.", f"{BASE_PREFIX}.pooler.")
_TABLES = ("embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True)
class ExpectedWeights:
    """The weights that a model needs.

    Attributes:
        shapes: the shape of every parameter, by the name under which it is saved.
        aliases: the names of tied parameters, each with the name under which it is saved.
        optional_parts: groups of submodules, each of which a folder may lack whole: a head, the pooler, all cross-attention.
        has_head: whether the headless model lies below `BASE_PREFIX`.
        are_embeddings_tied: whether the LM head's matrix is the word embeddings.
    """

    shapes: Mapping[str, Shape]
    aliases: Mapping[str, str]
    optional_parts: tuple[tuple[str, ...], ...]
    has_head: bool
    are_embeddings_tied: bool


def expected_weights(
    shapes: Mapping[str, Shape], aliases: Mapping[str, str], *, has_head: bool, are_embeddings_tied: bool
) -> ExpectedWeights:
    """Return what a model needs of a folder.

    Args:
        shapes: the shape of every parameter, by the name under which it is saved.
        aliases: the names of tied parameters, each with the name under which it is saved.
        has_head: whether the headless model lies below `BASE_PREFIX`.
        are_embeddings_tied: whether the LM head's matrix is the word embeddings.

    Returns:
        Names and shapes, and what may be missing.
    """
    parts = dict.fromkeys(name.partition(".")[0] for name in shapes)
    heads = [(part,) for part in parts if has_head and part != BASE_PREFIX]
    # Which the weights of an encoder, that is to become a decoder, lack in every layer.
    crossing = [name.partition(".crossattention.")[0] for name in shapes if ".crossattention." in name]
    cross_attention = tuple(f"{layer}.crossattention" for layer in dict.fromkeys(crossing))
    pooler = f"{BASE_PREFIX}.pooler" if has_head else "pooler"
    return ExpectedWeights(shapes, aliases, (*heads, (pooler,), cross_attention), has_head, are_embeddings_tied)


class Mismatch(NamedTuple):
    """A weight whose stored shape is not the one that the model has."""

    name: str
    stored: Shape
    wanted: Shape


@dataclass(frozen=True)
class Fit:
    """The result of the match. Names are those of the model's parameters.

    Attributes:
        sources: the stored name of the weight that each parameter gets.
        fresh: the submodules and parameters to initialize anew, in a fixed order, so that a seed gives the same weights.
        missing: the parameters that no stored weight is for.
        mismatched: the weights of another shape.
        unused: the stored weights that the model has no use for, each with its shape.
        problems: a line for everything that the model needs and does not get, sorted.
    """

    sources: dict[str, str]
    fresh: tuple[str, ...]
    missing: frozenset[str]
    mismatched: frozenset[Mismatch]
    unused: Mapping[str, Shape]
    problems: tuple[str, ...]

    @property
    def unexpected(self) -> tuple[str, ...]:
        """A line for every unused weight that is not another task's either, sorted."""
        return tuple(
            f"unexpected: {name}, shape {list(shape)}"
            for name, shape in sorted(self.unused.items())
            if not name.startswith(_OTHER_PARTS) and not name.endswith(_TABLES)
        )


def fit(stored: Mapping[str, Shape], expected: ExpectedWeights, *, ignore_mismatched_sizes: bool = False) -> Fit:
    """Match stored weights with parameters.

    Args:
        stored: the shapes of the stored weights, by their names in the model; with or without the prefix of the headless
            model, so that a folder of one class fits another.
        expected: what the model needs.
        ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.

    Returns:
        Where each parameter's weight comes from, what is initialized anew, and what does not fit.
    """
    available = _available(stored, expected)
    missing = frozenset(expected.shapes.keys() - available.keys())
    fresh = [part for group in expected.optional_parts if _is_missing_whole(group, expected, missing) for part in group]
    whole = tuple(f"{part}." for part in fresh)
    problems = [
        f"missing: {name}, shape {list(expected.shapes[name])}" for name in missing if not name.startswith(whole)
    ]
    mismatched = frozenset(
        Mismatch(name, stored[source], expected.shapes[name])
        for name, source in available.items()
        if name in expected.shapes and stored[source] != expected.shapes[name]
    )
    wrong = {item.name for item in mismatched}
    if ignore_mismatched_sizes:
        fresh += [name for name in expected.shapes if name in wrong]
    else:
        problems += [
            f"mismatched: {name} is {list(shape)} in the file, {list(wanted)} in the model"
            for name, shape, wanted in mismatched
        ]
    return Fit(
        sources={name: available[name] for name in expected.shapes if name in available and name not in wrong},
        fresh=tuple(fresh),
        missing=missing,
        mismatched=mismatched,
        unused={
            name: stored[source]
            for name, source in available.items()
            if name not in expected.shapes and name not in expected.aliases
        },
        problems=tuple(sorted(problems)),
    )


def _available(stored: Mapping[str, Shape], expected: ExpectedWeights) -> dict[str, str]:
    """Return the stored name of every weight by its name in the model, tied ones under the name that is saved too."""
    available = dict(zip(_with_prefix(stored, expected.has_head), stored, strict=True))
    for alias, name in expected.aliases.items():
        # A folder may have a tied weight under its other name only. And of an untied head, transformers computes with
        # `lm_head.decoder.bias` alone, whatever `lm_head.bias` says.
        if alias in available and (name not in available or not expected.are_embeddings_tied):
            available[name] = available[alias]
    return available


def _with_prefix(names: Mapping[str, Shape], has_head: bool) -> Iterator[str]:
    """Yield the names with the prefix of the headless model added or taken away, where the model needs that."""
    is_prefixed = any(name.startswith(f"{BASE_PREFIX}.") for name in names)
    for name in names:
        if has_head and not is_prefixed:
            yield f"{BASE_PREFIX}.{name}"
        elif not has_head and is_prefixed:
            yield name.removeprefix(f"{BASE_PREFIX}.")
        else:
            yield name


def _is_missing_whole(group: tuple[str, ...], expected: ExpectedWeights, missing: frozenset[str]) -> bool:
    """Return whether the model has those parts, and the folder has none of their weights."""
    parts = tuple(f"{part}." for part in group)
    inside = {name for name in expected.shapes if name.startswith(parts)}
    return bool(inside) and inside <= missing
