"""The losses, as documented for each head. Half-precision logits are widened to float32 first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from prenorm_model.checks import check_class_labels, check_value_labels
from prenorm_model.config import RobertaPreLayerNormConfig

IGNORED = -100


def _wide(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the tokens whose label is not -100.

    Args:
        logits: [batch, length, classes].
        labels: [batch, length], int64.
    """
    check_class_labels("labels", labels, tuple(logits.shape[:2]), logits.shape[2])
    flat, target = logits.flatten(0, 1), labels.to(logits.device).flatten()
    if not torch.compiler.is_compiling():
        counted = target != IGNORED
        # A masked LM has a label at one token in seven: the softmax over the vocabulary of the others would be for nothing.
        if 2 * int(counted.sum()) < len(target):
            flat, target = flat[counted], target[counted]
    return functional.cross_entropy(_wide(flat), target, ignore_index=IGNORED)


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """As above, each position's logits against the next position's label."""
    check_class_labels("labels", labels, tuple(logits.shape[:2]), logits.shape[2])
    return token_loss(logits[:, :-1], labels[:, 1:])


def choice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the batch: logits [batch, choices], labels [batch]."""
    check_class_labels("labels", labels, (logits.shape[0],), logits.shape[1], ignored=IGNORED)
    return functional.cross_entropy(_wide(logits), labels.to(logits.device))


def problem_type(config: RobertaPreLayerNormConfig, labels: Tensor) -> str:
    """What the config says, or what number of labels and type of labels imply."""
    if config.problem_type is not None:
        return config.problem_type
    if config.label_count == 1:
        return "regression"
    return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"


def sequence_loss(logits: Tensor, labels: Tensor, config: RobertaPreLayerNormConfig) -> Tensor:
    """The loss of sequence classification by problem type: mean squared error, cross-entropy, or binary cross-entropy.

    Args:
        logits: [batch, labels].
        labels: [batch] of numbers for one output, [batch, labels] of numbers, or [batch] of classes.
    """
    batch, count = logits.shape
    labels = labels.to(logits.device)
    kind = problem_type(config, labels)
    logits = _wide(logits)
    if kind == "single_label_classification":
        flat = labels.flatten() if tuple(labels.shape) == (batch, 1) else labels
        check_class_labels("labels", flat, (batch,), count)
        return functional.cross_entropy(logits, flat)
    if kind == "regression":
        shapes = ((batch,), (batch, 1)) if count == 1 else ((batch, count),)
        check_value_labels("labels", labels, shapes)
        return functional.mse_loss(logits, labels.reshape(batch, count).to(logits.dtype))
    check_value_labels("labels", labels, ((batch, count),))
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def span_loss(start_logits: Tensor, end_logits: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Mean of the cross-entropies of start and end; a position outside the sequence is ignored.

    Args:
        start_logits, end_logits: [batch, length].
        start, end: [batch] or [batch, 1], int64.
    """
    batch, length = start_logits.shape
    losses = []
    for name, logits, positions in (("start_positions", start_logits, start), ("end_positions", end_logits, end)):
        if positions.is_floating_point() or tuple(positions.shape) not in ((batch,), (batch, 1)):
            raise ValueError(f"{name} is {positions.dtype} {list(positions.shape)}; it must be integers [{batch}]")
        flat = positions.to(logits.device).reshape(batch)
        inside = torch.where((flat >= 0) & (flat < length), flat, IGNORED)
        losses.append(functional.cross_entropy(_wide(logits), inside, ignore_index=IGNORED))
    return (losses[0] + losses[1]) / 2
