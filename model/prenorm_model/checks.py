"""What the models answer to bad input: a ValueError that names the argument, the value and the limit.

The checks know no framework. Each framework states the facts of its arrays: shapes as tuples, kinds of types, and the
smallest and largest value, where values may be looked at (inside a trace there are none).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prenorm_model.config import RobertaPreLayerNormConfig

Shape = tuple[int, ...]  # where a graph leaves a size open, None stands in its place
# The label of a token, or of a text, that takes no part in a loss.
IGNORED = -100


class ArrayFacts(NamedTuple):
    """What the checks need to know of an array.

    Attributes:
        shape: its sizes.
        dtype: its type, as the framework prints it.
        is_integer: whether that is an integer type; truth values are none.
        is_floating: whether that is a floating-point type.
        smallest: the smallest value; None if there is none, it may not be looked at, or the type is no integer one.
        largest: the largest value; None likewise.
    """

    shape: Shape
    dtype: object
    is_integer: bool
    is_floating: bool
    smallest: int | None = None
    largest: int | None = None


def is_shape(shape: Shape, *allowed: Shape) -> bool:
    """Return whether a shape is one of those allowed.

    Size by size: torch's compiler takes a tuple of sizes that it knows and one of sizes that it left open for different. A
    size that a graph of another framework leaves open is None, and goes with any.

    Args:
        shape: the shape.
        *allowed: what it may be.

    Returns:
        Whether it is one of them.
    """
    return any(
        len(shape) == len(other)
        and all(left == right or left is None or right is None for left, right in zip(shape, other, strict=True))
        for other in allowed
    )


def check_ids(name: str, ids: ArrayFacts, limit: int, shape: Shape | None = None) -> None:
    """Check that ids are integers from 0 to `limit` - 1, of the given shape, or of one row for the whole batch.

    Args:
        name: the argument's name.
        ids: the facts of the ids.
        limit: the number of rows of their table.
        shape: [batch, length, ...]; None: any.

    Raises:
        ValueError: naming argument, value and limit.
    """
    if not ids.is_integer:
        raise ValueError(f"{name} has type {ids.dtype}; ids are integers")
    if shape is not None and not is_shape(ids.shape, shape, (1, *shape[1:])):
        raise ValueError(f"{name} has shape {list(ids.shape)}; with these inputs it must be {list(shape)}")
    _check_range(name, ids, limit)


def _check_range(name: str, ids: ArrayFacts, limit: int, exception: str = "") -> None:
    """Check that all values go from 0 to `limit` - 1."""
    if ids.smallest is not None and ids.largest is not None and (ids.smallest < 0 or ids.largest >= limit):
        wrong = ids.smallest if ids.smallest < 0 else ids.largest
        raise ValueError(f"{name} holds {wrong}; its values go from 0 to {limit - 1}{exception}")


def check_inputs(
    config: RobertaPreLayerNormConfig, input_ids: ArrayFacts | None, inputs_embeds: Shape | None
) -> tuple[int, int]:
    """Check that exactly one of the two inputs is there, and sound.

    Args:
        config: the model's configuration.
        input_ids: the facts of the ids, [batch, length]; None: not given.
        inputs_embeds: the shape of the embeddings, [batch, length, hidden]; None: not given.

    Returns:
        Batch and length.

    Raises:
        ValueError: naming argument, value and limit.
    """
    if (input_ids is None) == (inputs_embeds is None):
        count = "neither is" if input_ids is None else "both are"
        raise ValueError(f"exactly one of input_ids and inputs_embeds must be given; {count}")
    if input_ids is not None:
        if len(input_ids.shape) != 2:
            raise ValueError(f"input_ids has shape {list(input_ids.shape)}; it must be [batch, length]")
        check_ids("input_ids", input_ids, config.vocab_size)
        return input_ids.shape[0], input_ids.shape[1]
    assert inputs_embeds is not None
    if len(inputs_embeds) != 3 or inputs_embeds[2] != config.hidden_size:
        raise ValueError(
            f"inputs_embeds has shape {list(inputs_embeds)}; it must be [batch, length, {config.hidden_size}]"
        )
    return inputs_embeds[0], inputs_embeds[1]


def check_length(config: RobertaPreLayerNormConfig, name: str, tokens: int, past: int) -> None:
    """Check that a sequence fits the position table.

    Args:
        config: the model's configuration.
        name: the argument that holds the sequence.
        tokens: how many tokens it holds; pads, which take no position, may be left out.
        past: how many tokens are in the cache.

    Raises:
        ValueError: naming the length and the limit.
    """
    if tokens + past > config.longest_text:
        cached = f" ({past} of them in past_key_values)" if past else ""
        raise ValueError(
            f"{name} holds {tokens + past} tokens{cached}; the position table of {config.max_position_embeddings} rows "
            f"takes {config.longest_text}"
        )


def check_mask(config: RobertaPreLayerNormConfig, name: str, mask: Shape, sizes: tuple[int, int, int]) -> None:
    """Check that a mask is [batch, keys], [batch, queries, keys], or [batch or 1, heads or 1, queries, keys].

    Args:
        config: the model's configuration.
        name: the argument's name.
        mask: the mask's shape.
        sizes: the numbers of sequences, of tokens that are computed, and of tokens that they attend to.

    Raises:
        ValueError: naming the argument, its shape and what it must be.
    """
    batch, queries, keys = sizes
    heads = config.num_attention_heads
    full = [(rows, planes, queries, keys) for rows in (1, batch) for planes in (1, heads)]
    if not is_shape(mask, (batch, keys), (batch, queries, keys), *full):
        raise ValueError(
            f"{name} has shape {list(mask)}; it must be [{batch}, {keys}], [{batch}, {queries}, {keys}] or "
            f"[{batch}, 1 or {heads}, {queries}, {keys}]"
        )


def check_cache(
    config: RobertaPreLayerNormConfig, cache: Sequence[Shape] | None, use_cache: bool | None, batch: int
) -> None:
    """Check that a cache is the model's, and that only a decoder has one.

    Args:
        config: the model's configuration.
        cache: the shapes of keys and values, layer by layer, empty before the first forward; None: there is no cache.
        use_cache: as the caller gave it.
        batch: number of sequences.

    Raises:
        ValueError: naming the argument and what it needs.
    """
    for name, is_given in (("past_key_values", cache is not None), ("use_cache", bool(use_cache))):
        if is_given and not config.is_decoder:
            raise ValueError(f"{name} was given to an encoder; a cache needs a config with is_decoder=True")
    if not cache:
        return
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    expected = (batch, heads, cache[0][2], config.hidden_size // heads)
    if len(cache) != 2 * layers or not all(is_shape(shape, expected) for shape in cache):
        wrong = next((shape for shape in cache if not is_shape(shape, expected)), cache[0])
        raise ValueError(
            f"past_key_values has {len(cache) // 2} layers of {list(wrong)}; it must have {layers} of {list(expected)}"
        )


def check_past_tuples(layer: int, dimensions: Sequence[int]) -> None:
    """Check that past tuples hold keys and values, and behind them those of the cross-attention, or not.

    Args:
        layer: the layer's number.
        dimensions: how many dimensions each entry of the layer has; those that are None left out, 0 for what is no tensor.

    Raises:
        ValueError: naming the layer and what it must hold.
    """
    if len(dimensions) not in (2, 4) or any(count != 4 for count in dimensions):
        raise ValueError(
            f"past_key_values[{layer}] must be keys and values, [batch, heads, tokens, head size], two or, with "
            "those of the cross-attention, four"
        )


def check_cache_position(positions: ArrayFacts, past: int, length: int) -> None:
    """Check that the places of the new tokens are those behind the tokens in the cache.

    Args:
        positions: the facts of the places.
        past: how many tokens are in the cache.
        length: how many come now.

    Raises:
        ValueError: naming the places that they must be.
    """
    ends = (positions.smallest, positions.largest)
    is_sound = is_shape(positions.shape, (length,)) and positions.is_integer
    if not is_sound or ends not in ((None, None), (past, past + length - 1)):
        raise ValueError(
            f"cache_position is {positions.dtype} {list(positions.shape)} from {ends[0]} to {ends[1]}; with this cache and "
            f"these inputs it must be {past} to {past + length - 1}"
        )


def check_encoder_states(config: RobertaPreLayerNormConfig, states: Shape | None, has_mask: bool, batch: int) -> None:
    """Check the encoder's states that a decoder's cross-attention looks at.

    Args:
        config: the model's configuration.
        states: the shape of `encoder_hidden_states`, [batch, encoder length, hidden]; None: not given.
        has_mask: whether `encoder_attention_mask` is given.
        batch: number of sequences.

    Raises:
        ValueError: naming the argument and the setting or the shape that it needs.
    """
    if states is None:
        if has_mask:
            raise ValueError("encoder_attention_mask was given without encoder_hidden_states")
        return
    if not config.add_cross_attention:
        raise ValueError("encoder_hidden_states was given, but the config has add_cross_attention=False")
    if len(states) != 3 or states[0] != batch or states[2] != config.hidden_size:
        raise ValueError(
            f"encoder_hidden_states has shape {list(states)}; it must be [{batch}, length, {config.hidden_size}]"
        )


def check_head_mask(config: RobertaPreLayerNormConfig, head_mask: Shape) -> None:
    """Check that a head mask is [heads] or [layers, heads].

    Args:
        config: the model's configuration.
        head_mask: the mask's shape.

    Raises:
        ValueError: naming its shape and what it must be.
    """
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    if not is_shape(head_mask, (heads,), (layers, heads)):
        raise ValueError(f"head_mask has shape {list(head_mask)}; it must be [{heads}] or [{layers}, {heads}]")


def check_choices(name: str, inputs: Shape, others: Mapping[str, Shape | None], *, has_features: bool) -> None:
    """Check that the inputs of multiple choice have a dimension of choices.

    Args:
        name: the argument's name.
        inputs: its shape.
        others: the shapes of the arguments that have the same dimensions in front, by their names; None: not given.
        has_features: whether a last dimension holds the features of embeddings.

    Raises:
        ValueError: naming the argument, its shape and what it must be.
    """
    sizes = ["batch", "choices", "length", *(["hidden"] if has_features else [])]
    if len(inputs) != len(sizes):
        raise ValueError(f"{name} has shape {list(inputs)}; it must be [{', '.join(sizes)}]")
    for other, shape in others.items():
        if shape is not None and not (len(shape) > 2 and is_shape(shape[:2], inputs[:2], (1, 1))):
            raise ValueError(f"{other} has shape {list(shape)}; it must be [{inputs[0]}, {inputs[1]}, ...], as {name}")


def check_two_labels(config: RobertaPreLayerNormConfig) -> None:
    """Check that a question-answering model has two labels.

    Args:
        config: the model's configuration.

    Raises:
        ValueError: if it has another number.
    """
    if config.label_count != 2:
        raise ValueError(f"num_labels is {config.label_count}; question answering has 2, the start and the end")


def check_class_labels(name: str, labels: ArrayFacts, shape: Shape, classes: int) -> None:
    """Check that labels are class numbers: integers from 0 to `classes` - 1, or `IGNORED`.

    Args:
        name: the argument's name.
        labels: the facts of the labels; smallest and largest value of those that are not `IGNORED`.
        shape: the shape that they must have.
        classes: the number of classes.

    Raises:
        ValueError: naming argument, value and limit.
    """
    if not labels.is_integer:
        raise ValueError(f"{name} has type {labels.dtype}; class numbers are integers")
    if not is_shape(labels.shape, shape):
        raise ValueError(f"{name} has shape {list(labels.shape)}; it must be {list(shape)}")
    _check_range(name, labels, classes, f" (or {IGNORED}, to be ignored)")


def check_value_labels(
    name: str, labels: ArrayFacts, shapes: tuple[Shape, ...], *, may_be_integers: bool = False
) -> None:
    """Check that labels are numbers of one of the given shapes.

    Args:
        name: the argument's name.
        labels: the facts of the labels.
        shapes: the shapes that they may have.
        may_be_integers: whether they need not be floating point.

    Raises:
        ValueError: naming argument, type or shape, and what it must be.
    """
    if not labels.is_floating and not may_be_integers:
        raise ValueError(f"{name} has type {labels.dtype}; this problem_type needs floating-point labels")
    if not is_shape(labels.shape, *shapes):
        raise ValueError(
            f"{name} has shape {list(labels.shape)}; it must be {' or '.join(str(list(shape)) for shape in shapes)}"
        )


def check_span_labels(name: str, positions: ArrayFacts, batch: int) -> None:
    """Check that the positions of an answer's end are integers, one for each sequence.

    Args:
        name: the argument's name.
        positions: the facts of the positions, [batch] or [batch, 1].
        batch: number of sequences.

    Raises:
        ValueError: naming argument, type, shape, and what they must be.
    """
    if positions.is_floating or not is_shape(positions.shape, (batch,), (batch, 1)):
        raise ValueError(f"{name} is {positions.dtype} {list(positions.shape)}; it must be integers [{batch}]")
