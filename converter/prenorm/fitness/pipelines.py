"""`pipeline(...)` for the folder's task, as the model card shows it; where there is none, the model with its inputs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from prenorm.fitness.finding import Finding, Unfit
from prenorm.fitness.subject import LOCAL, Subject, library, outputs

_SURE = 1e-4  # how far the sum of probabilities, each rounded to float32, may be from 1
_ROUNDING = 1e-5  # of the largest value: the same weights in the same float32, in batches of another shape
_MOST_RANKED = 60_000  # of a larger vocabulary, not every token is written out


def fill_mask(subject: Subject) -> Finding:
    """Probabilities over the vocabulary that sum to 1, the best first, and the tokens that the model itself ranks so."""
    tokenizer = subject.tokenizer
    run = _pipeline("fill-mask", subject)
    text, rows = f"the {tokenizer.mask_token} of it", subject.number("vocab_size")
    ranked = run(text, top_k=min(rows, _MOST_RANKED))
    scores = [item["score"] for item in ranked]
    problems = _not_probabilities(scores, whole=rows <= _MOST_RANKED)
    if scores != sorted(scores, reverse=True):
        problems.append("the answers are not ranked")
    batch = tokenizer(text, return_tensors="pt")
    place = int((batch["input_ids"][0] == tokenizer.mask_token_id).nonzero())
    own = outputs(subject.model, dict(batch))[0, place].softmax(-1)
    problems += _apart(Tensor(scores[:5]), own.topk(5).values, "the pipeline's best five")
    if problems:
        raise Unfit(problems)
    return Finding(f"{len(scores)} answers, probabilities sum to {sum(scores):.6f}")


def text_classification(subject: Subject) -> Finding:
    """A score for each label that config.json names; probabilities sum to 1."""
    results = _pipeline("text-classification", subject)(["the license", "you may copy it"], top_k=None)
    names = set(subject.config.get("id2label", {}).values())
    problems = []
    single = subject.config.get("problem_type") in (None, "single_label_classification") and len(names) > 1
    for result in results:
        scores = [item["score"] for item in result]
        found = {item["label"] for item in result}
        if found != names:
            problems.append(f"the labels are {sorted(found)}, and config.json names {sorted(map(str, names))}")
        problems += _not_probabilities(scores, whole=single) if single else _not_finite(scores)
    if problems:
        raise Unfit(list(dict.fromkeys(problems)))
    return Finding(f"labels {', '.join(sorted(map(str, names)))}" + (", probabilities sum to 1" if single else ""))


def feature_extraction(subject: Subject) -> Finding:
    """The last hidden state, of every token, and not of a model that was initialized at random."""
    tokenizer = subject.tokenizer
    found = torch.tensor(_pipeline("feature-extraction", subject)("the license"))
    own = outputs(subject.load("AutoModel"), dict(tokenizer("the license", return_tensors="pt")))
    problems = _apart(found, own, "the pipeline's vectors")
    if problems:
        raise Unfit(problems)
    return Finding(" x ".join(map(str, found.shape)))


def choices(subject: Subject) -> Finding:
    """Multiple choice has no pipeline: a score per choice, which does not depend on the other choices."""
    model, batch = subject.model, subject.batch()
    scores = outputs(model, batch)
    alone = outputs(model, {name: item[:, :1] for name, item in batch.items()})
    problems = _not_finite(scores.flatten().tolist())
    if tuple(scores.shape) != tuple(batch["input_ids"].shape[:2]):
        problems.append(
            f"scores of the shape {tuple(scores.shape)} for choices of {tuple(batch['input_ids'].shape[:2])}"
        )
    problems += _apart(alone[:, 0], scores[:, 0], "a choice's score by itself and among others")
    if problems:
        raise Unfit(problems)
    return Finding(f"{scores.shape[0]} questions of {scores.shape[1]} choices")


def _pipeline(task: str, subject: Subject) -> Any:
    tokenizer = subject.tokenizer  # not run without one
    del tokenizer
    remote = {"trust_remote_code": LOCAL["trust_remote_code"]}
    return library("transformers").pipeline(task, model=str(subject.view), device="cpu", dtype=torch.float32, **remote)


def _not_finite(scores: list[float]) -> list[str]:
    return [] if all(map(math.isfinite, scores)) else [f"scores that are no numbers: {scores[:5]}"]


def _not_probabilities(scores: list[float], *, whole: bool) -> list[str]:
    problems = _not_finite(scores)
    if not all(-_SURE <= score <= 1 + _SURE for score in scores):
        problems.append(f"scores that are no probabilities: {scores[:5]}")
    total = math.fsum(scores)
    if not problems and (abs(total - 1) > _SURE if whole else total > 1 + _SURE):
        problems.append(f"the probabilities sum to {total:.6f}")
    return problems


def _apart(found: Tensor, wanted: Tensor, what: str) -> list[str]:
    """A sentence if two results of the same weights differ by more than rounding."""
    scale = float(wanted.abs().max())
    difference = float((found.double() - wanted.double()).abs().max()) if found.shape == wanted.shape else math.inf
    if difference <= _ROUNDING * scale:
        return []
    return [f"{what} and the model's differ by {difference:.1e}"]
