"""What the Auto classes of transformers make of the folder: every key loaded, and every value the file's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from prenorm.fitness.finding import Finding, Unfit
from prenorm.fitness.subject import Subject

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


def loads_whole(auto_class: str) -> Callable[[Subject], Finding]:
    """A check that the class loads the folder with no key over or missing, and with the files' own values."""

    def check(subject: Subject) -> Finding:
        model, info = subject.load_with_info(auto_class, ignore_mismatched_sizes=True)
        _judge(subject, model, info, missing=(), unexpected=())
        return Finding(f"{type(model).__name__}, all {len(subject.published.tensors)} tensors")

    return check


def loads_headless(subject: Subject) -> Finding:
    """`AutoModel`: everything but the pooler comes from the files, and all that is left of them is a head."""
    model, info = subject.load_with_info("AutoModel", ignore_mismatched_sizes=True)
    pooled = any(_POOLER in name for name in subject.published.tensors)
    _judge(subject, model, info, missing=() if pooled else (_POOLER,), unexpected=_HEADS)
    return Finding(
        f"{type(model).__name__}, all from the files" + ("" if pooled else " but the pooler, which is random")
    )


def takes_new_heads(subject: Subject) -> Finding:
    """The classes that people fine-tune: only their new head is random."""
    for auto_class in _NEW_HEADS:
        model, info = subject.load_with_info(auto_class, ignore_mismatched_sizes=True)
        _judge(subject, model, info, missing=(*_HEADS, f"{model.base_model_prefix}.{_POOLER}"), unexpected=_HEADS)
    return Finding(f"{len(_NEW_HEADS)} classes, only their heads are new")


def _judge(
    subject: Subject, model: nn.Module, info: dict[str, Any], missing: tuple[str, ...], unexpected: tuple[str, ...]
) -> None:
    """Raises Unfit, with a sentence for each kind of key and for the values."""
    allowed = {"missing_keys": missing, "unexpected_keys": unexpected}
    problems = []
    for kind, keys in info.items():
        unfit = sorted(str(key) for key in keys or () if not str(key).startswith(allowed.get(kind, ()) or "\0"))
        if unfit:
            problems.append(f"{type(model).__name__} has {len(unfit)} {kind.replace('_', ' ')}: {_some(unfit)}")
    new = [str(key) for key in info["missing_keys"]]
    random, other = _values(subject, model, new)
    for names, what in ((random, "no tensor in the files, and are random"), (other, "other values than the files")):
        if names:
            problems.append(f"{len(names)} weights of {type(model).__name__} have {what}: {_some(names)}")
    if problems:
        raise Unfit(problems)


def _values(subject: Subject, model: nn.Module, new: list[str]) -> tuple[list[str], list[str]]:
    """The model's weights that no tensor of the files stands behind, and those that have other values.

    transformers' own report is not asked: a wrong prefix, and a key that it chooses to be silent about, show here.
    """
    without, other, shared = [], [], _shared(model)
    for name, weight in model.state_dict().items():
        if name in new:
            continue
        origins = [origin for alias in shared[weight.data_ptr()] for origin in _origins(subject, alias)]
        if not origins:
            without.append(name)
        elif not all(_same(subject.tensor(origin), weight) for origin in origins):
            other.append(name)
    return without, other


def _shared(model: nn.Module) -> dict[int, list[str]]:
    """The names of every weight, by where it lies: tied ones lie at one place."""
    found: dict[int, list[str]] = {}
    for name, weight in model.state_dict().items():
        found.setdefault(weight.data_ptr(), []).append(name)
    return found


def _origins(subject: Subject, name: str) -> Iterator[str]:
    """The tensors of the files that a weight can come from: that of its name, or with the base model's name put on or off."""
    if name in subject.published.tensors:
        yield name
        return
    for stored in subject.published.tensors:
        if stored.partition(".")[2] == name or name.partition(".")[2] == stored:
            yield stored


def _same(stored: Tensor, loaded: Tensor) -> bool:
    """Whether every value is the same number, or NaN on both sides."""
    if stored.shape != loaded.shape:
        return False
    wide, other = stored.double(), loaded.double()
    return bool(((wide == other) | (torch.isnan(wide) & torch.isnan(other))).all())


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
