"""What the Auto classes of transformers make of the folder: every key loaded, and every value the file's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from prenorm.fitness.candidate import Candidate
from prenorm.fitness.finding import Finding, refuse

# Parts that one class has and another has not. The pooler is in no fairseq model but in those of sentence_ranking.
_HEADS = ("lm_head.", "classifier.", "qa_outputs.")
_POOLER = "pooler."
_NEW_HEADS = (
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
)
_MOST_NAMED = 3


def loads_whole(auto_class: str) -> Callable[[Candidate], Finding]:
    """Make the check that an Auto class takes every key from the files, and every value as it is there.

    Args:
        auto_class: the name of a class of transformers.

    Returns:
        The check: it returns what was seen, and raises Unfit with a sentence for each problem.
    """

    def check(candidate: Candidate) -> Finding:
        model, info = candidate.load_with_info(auto_class, ignore_mismatched_sizes=True)
        _judge(candidate, model, info, missing=(), unexpected=())
        return Finding(f"{type(model).__name__}, all {len(candidate.published.tensors)} tensors")

    return check


def loads_headless(candidate: Candidate) -> Finding:
    """Load the folder as `AutoModel`: all but the pooler comes from the files, and what is left of them is a head.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    model, info = candidate.load_with_info("AutoModel", ignore_mismatched_sizes=True)
    pooled = any(_POOLER in name for name in candidate.published.tensors)
    _judge(candidate, model, info, missing=() if pooled else (_POOLER,), unexpected=_HEADS)
    return Finding(
        f"{type(model).__name__}, all from the files" + ("" if pooled else " but the pooler, which is random")
    )


def takes_new_heads(candidate: Candidate) -> Finding:
    """Load the folder in the classes that people fine-tune: only their new head is random.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    for auto_class in _NEW_HEADS:
        model, info = candidate.load_with_info(auto_class, ignore_mismatched_sizes=True)
        _judge(candidate, model, info, missing=(*_HEADS, f"{model.base_model_prefix}.{_POOLER}"), unexpected=_HEADS)
    return Finding(f"{len(_NEW_HEADS)} classes, only their heads are new")


def _judge(
    candidate: Candidate, model: nn.Module, info: dict[str, Any], missing: tuple[str, ...], unexpected: tuple[str, ...]
) -> None:
    """Raise Unfit, with a sentence for each kind of key and for the values, if any is wrong."""
    allowed = {"missing_keys": missing, "unexpected_keys": unexpected}
    problems = []
    for kind, keys in info.items():
        unfit = sorted(str(key) for key in keys or () if not str(key).startswith(allowed.get(kind, ()) or "\0"))
        if unfit:
            problems.append(f"{type(model).__name__} has {len(unfit)} {kind.replace('_', ' ')}: {_some(unfit)}")
    new = [str(key) for key in info["missing_keys"]]
    random, other = _values(candidate, model, new)
    for names, what in ((random, "no tensor in the files, and are random"), (other, "other values than the files")):
        if names:
            problems.append(f"{len(names)} weights of {type(model).__name__} have {what}: {_some(names)}")
    refuse(problems)


def _values(candidate: Candidate, model: nn.Module, new: list[str]) -> tuple[list[str], list[str]]:
    """Return the model's weights that no tensor of the files stands behind, and those that have other values."""
    # transformers' own report is not used: this shows a wrong prefix as well, and a key that the report leaves out.
    without, other, shared = [], [], _shared(model)
    for name, weight in model.state_dict().items():
        if name in new:
            continue
        origins = [origin for alias in shared[weight.data_ptr()] for origin in _origins(candidate, alias)]
        if not origins:
            without.append(name)
        elif not all(_same(candidate.tensor(origin), weight) for origin in origins):
            other.append(name)
    return without, other


def _shared(model: nn.Module) -> dict[int, list[str]]:
    """Return the names of every weight by its address: tied ones have the same."""
    names: dict[int, list[str]] = {}
    for name, weight in model.state_dict().items():
        names.setdefault(weight.data_ptr(), []).append(name)
    return names


def _origins(candidate: Candidate, name: str) -> Iterator[str]:
    """Yield the tensors of the files that a weight can come from: that of its name, with or without the base model's."""
    if name in candidate.published.tensors:
        yield name
        return
    for stored in candidate.published.tensors:
        if stored.partition(".")[2] == name or name.partition(".")[2] == stored:
            yield stored


def _same(stored: Tensor, loaded: Tensor) -> bool:
    """Return whether every value is the same number, or NaN on both sides."""
    if stored.shape != loaded.shape:
        return False
    wide, other = stored.double(), loaded.double()
    return bool(((wide == other) | (torch.isnan(wide) & torch.isnan(other))).all())


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
