"""The losses, as documented for each head: functions of logits, since Flax' models return none.

Half-precision logits are widened to float32 first.
"""

from __future__ import annotations

from jax import Array, nn
from jax import numpy as jnp

from prenorm_model.checks import IGNORED, check_class_labels, check_span_labels, check_value_labels
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.facts import facts_of


def _cross_entropy(logits: Array, labels: Array, items: Array | int | None = None) -> Array:
    """Return the mean over the labels that are not `IGNORED`, or the sum divided by `items`: [..., classes] and [...]."""
    counted = labels != IGNORED
    chosen = jnp.take_along_axis(_log_softmax(logits), jnp.where(counted, labels, 0)[..., None], axis=-1)[..., 0]
    return -jnp.where(counted, chosen, 0).sum() / (counted.sum() if items is None else items)


def _log_softmax(logits: Array) -> Array:
    """Return the logarithm of the softmax, of half-precision logits in float32."""
    return nn.log_softmax(_widen(logits), axis=-1)


def _widen(logits: Array) -> Array:
    """Return half-precision logits in float32, others as they are."""
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def token_loss(logits: Array, labels: Array, items: Array | int | None = None) -> Array:
    """Return the mean cross-entropy over the tokens whose label is not -100.

    Args:
        logits: [batch, length, classes].
        labels: [batch, length], integers.
        items: divide the sum by this, and not by the number of those tokens.

    Returns:
        A scalar; NaN where there is no such token and nothing else to divide by.

    Raises:
        ValueError: if the labels have another shape or type, or are no class.
    """
    check_class_labels("labels", facts_of(labels, ignored=IGNORED), logits.shape[:2], logits.shape[2])
    return _cross_entropy(logits, jnp.asarray(labels), items)


def next_token_loss(logits: Array, labels: Array, items: Array | int | None = None) -> Array:
    """Return the mean cross-entropy of each position's logits against the next position's label, unless that is -100.

    Args:
        logits: [batch, length, vocab].
        labels: [batch, length], integers.
        items: divide the sum by this, and not by the number of labels that are not -100.

    Returns:
        A scalar.

    Raises:
        ValueError: if the labels have another shape or type, or are no token.
    """
    check_class_labels("labels", facts_of(labels, ignored=IGNORED), logits.shape[:2], logits.shape[2])
    return _cross_entropy(logits[:, :-1], jnp.asarray(labels)[:, 1:], items)


def choice_loss(logits: Array, labels: Array) -> Array:
    """Return the mean cross-entropy over the batch.

    Args:
        logits: [batch, choices].
        labels: [batch], integers.

    Returns:
        A scalar.

    Raises:
        ValueError: if the labels have another shape or type, or are no choice.
    """
    check_class_labels("labels", facts_of(labels, ignored=IGNORED), logits.shape[:1], logits.shape[1])
    return _cross_entropy(logits, jnp.asarray(labels))


def sequence_loss(logits: Array, labels: Array, config: RobertaPreLayerNormConfig) -> Array:
    """Return the loss of sequence classification: mean squared error, cross-entropy, or binary cross-entropy.

    Args:
        logits: [batch, labels].
        labels: by problem type: [batch] or [batch, 1] of numbers for one output, [batch, labels] of numbers, or [batch] of
            classes. Numbers to come near to may be integers.
        config: states the problem type, or leaves it to the labels.

    Returns:
        A scalar.

    Raises:
        ValueError: if the labels do not suit the problem type.
    """
    batch, count = logits.shape
    facts = facts_of(labels, ignored=IGNORED)
    problem_type = config.infer_problem_type(are_labels_floating=facts.is_floating)
    if problem_type == "single_label_classification":
        flat = labels.reshape(batch) if tuple(labels.shape) == (batch, 1) else labels
        return choice_loss(logits, flat)
    wide = _widen(logits)
    if problem_type == "regression":
        shapes = ((batch,), (batch, 1)) if count == 1 else ((batch, count),)
        check_value_labels("labels", facts, shapes, may_be_integers=True)
        return jnp.square(wide - jnp.asarray(labels, wide.dtype).reshape(batch, count)).mean()
    check_value_labels("labels", facts, ((batch, count),))
    wanted = jnp.asarray(labels, wide.dtype)
    return -(wanted * nn.log_sigmoid(wide) + (1 - wanted) * nn.log_sigmoid(-wide)).mean()


def span_loss(start_logits: Array, end_logits: Array, start: Array, end: Array) -> Array:
    """Return the mean of the cross-entropies of start and end; a position outside the sequence is ignored.

    Args:
        start_logits: [batch, length].
        end_logits: [batch, length].
        start: [batch] or [batch, 1], integers.
        end: [batch] or [batch, 1], integers.

    Returns:
        A scalar.

    Raises:
        ValueError: if the positions have another shape or type.
    """
    batch, length = start_logits.shape
    losses = []
    for name, logits, positions in (("start_positions", start_logits, start), ("end_positions", end_logits, end)):
        check_span_labels(name, facts_of(positions), batch)
        flat = jnp.asarray(positions).reshape(batch)
        losses.append(_cross_entropy(logits, jnp.where((flat >= 0) & (flat < length), flat, IGNORED)))
    return (losses[0] + losses[1]) / 2
