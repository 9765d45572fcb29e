"""The losses, as documented for each head. Half-precision logits are widened to float32 first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from prenorm_model.checks import IGNORED, check_class_labels, check_span_labels, check_value_labels
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.torch.facts import are_values_known, facts_of


def _widen(logits: Tensor) -> Tensor:
    """Return half-precision logits in float32, others as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _check_classes(labels: Tensor, shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError unless the labels are class numbers of that shape."""
    check_class_labels("labels", facts_of(labels, ignored=IGNORED), tuple(shape), classes)


def token_loss(logits: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
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
    _check_classes(labels, logits.shape[:2], logits.shape[2])
    flat, target = logits.flatten(0, 1), labels.to(logits.device, torch.int64).flatten()
    if are_values_known():
        counted = target != IGNORED
        # A masked LM has a label at one token in seven: the softmax over the vocabulary of the others would be for nothing.
        if 2 * int(counted.sum()) < len(target):
            flat, target = flat[counted], target[counted]
    if items is None:
        return functional.cross_entropy(_widen(flat), target, ignore_index=IGNORED)
    total = functional.cross_entropy(_widen(flat), target, ignore_index=IGNORED, reduction="sum")
    return total / (items.to(total.device) if isinstance(items, Tensor) else items)


def next_token_loss(
    logits: Tensor, labels: Tensor, items: Tensor | int | None = None, shifted: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of each position's logits against the next position's label, unless that is -100.

    Args:
        logits: [batch, length, vocab].
        labels: [batch, length], integers.
        items: divide the sum by this, and not by the number of labels that are not -100.
        shifted: [batch, length], each position's own target, in place of `labels`.

    Returns:
        A scalar.

    Raises:
        ValueError: if the labels have another shape or type, or are no token.
    """
    if shifted is not None:
        return token_loss(logits, shifted, items)
    _check_classes(labels, logits.shape[:2], logits.shape[2])
    return token_loss(logits[:, :-1], labels[:, 1:], items)


def choice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the batch.

    Args:
        logits: [batch, choices].
        labels: [batch], integers.

    Returns:
        A scalar.

    Raises:
        ValueError: if the labels have another shape or type, or are no choice.
    """
    _check_classes(labels, logits.shape[:1], logits.shape[1])
    return functional.cross_entropy(_widen(logits), labels.to(logits.device, torch.int64))


def sequence_loss(logits: Tensor, labels: Tensor, config: RobertaPreLayerNormConfig) -> Tensor:
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
    labels = labels.to(logits.device)
    problem_type = config.infer_problem_type(are_labels_floating=labels.is_floating_point())
    logits = _widen(logits)
    if problem_type == "single_label_classification":
        flat = labels.flatten() if tuple(labels.shape) == (batch, 1) else labels
        _check_classes(flat, (batch,), count)
        return functional.cross_entropy(logits, flat.to(torch.int64))
    if problem_type == "regression":
        shapes = ((batch,), (batch, 1)) if count == 1 else ((batch, count),)
        check_value_labels("labels", facts_of(labels), shapes, may_be_integers=True)
        return functional.mse_loss(logits, labels.reshape(batch, count).to(logits.dtype))
    check_value_labels("labels", facts_of(labels), ((batch, count),))
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def span_loss(start_logits: Tensor, end_logits: Tensor, start: Tensor, end: Tensor) -> Tensor:
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
        flat = positions.to(logits.device, torch.int64).reshape(batch)
        inside = torch.where((flat >= 0) & (flat < length), flat, IGNORED)
        losses.append(functional.cross_entropy(_widen(logits), inside, ignore_index=IGNORED))
    return (losses[0] + losses[1]) / 2
