"""The losses, as documented for each head: of a language model and of tokens one number, of all others one per row.

TensorFlow's classes have always returned them so: [1], or [batch], over which the mean is the loss that PyTorch's classes
return. Half-precision logits are widened to float32 first.
"""

from __future__ import annotations

import keras
from keras import ops

from prenorm_model.checks import IGNORED, check_class_labels, check_span_labels, check_value_labels
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.facts import Tensor, facts_of, is_floating, shape_of


def _widen(logits: Tensor) -> Tensor:
    """Return half-precision logits in float32, others as they are."""
    dtype = keras.backend.standardize_dtype(logits.dtype)
    return ops.cast(logits, "float32") if dtype in ("float16", "bfloat16") else logits


def _sizes(logits: Tensor) -> tuple[int, ...]:
    """Return the shape of logits."""
    return shape_of(logits) or ()


def _check_classes(labels: Tensor, shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError unless the labels are class numbers of that shape."""
    check_class_labels("labels", facts_of(labels, ignored=IGNORED), tuple(shape), classes)


def _cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each label costs, zero where it is -100, and which of them count: both of the labels' shape."""
    logits = _widen(logits)
    counted = ops.not_equal(labels, IGNORED)
    target = ops.where(counted, labels, ops.zeros_like(labels))
    if keras.backend.backend() == "tensorflow":  # the other backends would make a row of each label
        costs = ops.sparse_categorical_crossentropy(target, logits, from_logits=True)
    else:
        costs = -ops.take_along_axis(ops.log_softmax(logits, axis=-1), target[..., None], axis=-1)[..., 0]
    return ops.where(counted, costs, ops.zeros_like(costs)), ops.cast(counted, logits.dtype)


def _mean_over_counted(costs: Tensor, counted: Tensor) -> Tensor:
    """Return costs, [batch], scaled so that their mean is that of those that count."""
    total = ops.cast(ops.shape(costs)[0], costs.dtype)
    return costs * (total / ops.sum(counted))


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the tokens whose label is not -100.

    Args:
        logits: [batch, length, classes].
        labels: [batch, length], integers.

    Returns:
        [1]; NaN where there is no such token.

    Raises:
        ValueError: if the labels have another shape or type, or are no class.
    """
    _check_classes(labels, _sizes(logits)[:2], logits.shape[2])
    costs, counted = _cross_entropy(logits, labels)
    return ops.reshape(ops.sum(costs) / ops.sum(counted), (1,))


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of each position's logits against the next position's label, unless that is -100.

    Args:
        logits: [batch, length, vocab].
        labels: [batch, length], integers.

    Returns:
        [1].

    Raises:
        ValueError: if the labels have another shape or type, or are no token.
    """
    _check_classes(labels, _sizes(logits)[:2], logits.shape[2])
    return token_loss(logits[:, :-1], labels[:, 1:])


def choice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each row.

    Args:
        logits: [batch, choices].
        labels: [batch], integers.

    Returns:
        [batch].

    Raises:
        ValueError: if the labels have another shape or type, or are no choice.
    """
    _check_classes(labels, _sizes(logits)[:1], logits.shape[1])
    return _mean_over_counted(*_cross_entropy(logits, labels))


def sequence_loss(logits: Tensor, labels: Tensor, config: RobertaPreLayerNormConfig) -> Tensor:
    """Return the loss of sequence classification: mean squared error, cross-entropy, or binary cross-entropy.

    Args:
        logits: [batch, labels].
        labels: by problem type: [batch] or [batch, 1] of numbers for one output, [batch, labels] of numbers, or [batch] of
            classes. Numbers to come near to may be integers.
        config: states the problem type, or leaves it to the labels.

    Returns:
        [batch].

    Raises:
        ValueError: if the labels do not suit the problem type.
    """
    batch, count = _sizes(logits)
    logits = _widen(logits)
    problem_type = config.infer_problem_type(are_labels_floating=is_floating(labels))
    if problem_type == "single_label_classification":
        flat = ops.reshape(labels, (-1,)) if tuple(labels.shape[1:]) == (1,) else labels
        _check_classes(flat, (batch,), count)
        return _mean_over_counted(*_cross_entropy(logits, flat))
    if problem_type == "regression":
        shapes = ((batch,), (batch, 1)) if count == 1 else ((batch, count),)
        check_value_labels("labels", facts_of(labels), shapes, may_be_integers=True)
        wanted = ops.cast(ops.reshape(labels, (-1, count)), logits.dtype)
        return ops.mean(ops.square(logits - wanted), axis=-1)
    check_value_labels("labels", facts_of(labels), ((batch, count),))
    wanted = ops.cast(labels, logits.dtype)
    # -log sigmoid(x) for a label of one, -log(1 - sigmoid(x)) for zero, of which neither overflows.
    costs = ops.relu(logits) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.mean(costs, axis=-1)


def span_loss(start_logits: Tensor, end_logits: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the mean of the cross-entropies of start and end of each row; a position outside the sequence is ignored.

    Args:
        start_logits: [batch, length].
        end_logits: [batch, length].
        start: [batch] or [batch, 1], integers.
        end: [batch] or [batch, 1], integers.

    Returns:
        [batch].

    Raises:
        ValueError: if the positions have another shape or type.
    """
    losses = []
    for name, logits, positions in (("start_positions", start_logits, start), ("end_positions", end_logits, end)):
        check_span_labels(name, facts_of(positions), _sizes(logits)[0])
        flat = ops.reshape(positions, (-1,))
        is_inside = ops.logical_and(flat >= 0, flat < ops.cast(ops.shape(logits)[1], flat.dtype))
        inside = ops.where(is_inside, flat, ops.full_like(flat, IGNORED))
        losses.append(_mean_over_counted(*_cross_entropy(logits, inside)))
    return (losses[0] + losses[1]) / 2
