"""`pipeline(...)` for the folder's task, as the model card shows it; where there is none, the model with its inputs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from prenorm.fitness.candidate import LOCAL, Candidate, library, outputs
from prenorm.fitness.finding import Finding, refuse

_SURE = 1e-4  # how far the sum of probabilities, each rounded to float32, may be from 1
_ROUNDING = 1e-5  # of the largest value: the same weights in the same float32, in batches of another shape
_MOST_RANKED = 60_000  # of a larger vocabulary, not every token is written out


def fill_mask(candidate: Candidate) -> Finding:
    """Check that the pipeline's probabilities sum to 1, best first, and that its best tokens are the model's own.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if the folder has no tokenizer.
    """
    tokenizer = candidate.tokenizer
    run = _pipeline("fill-mask", candidate)
    text, rows = f"the {tokenizer.mask_token} of it", candidate.number("vocab_size")
    ranked = run(text, top_k=min(rows, _MOST_RANKED))
    scores = [item["score"] for item in ranked]
    problems = _not_probabilities(scores, whole=rows <= _MOST_RANKED)
    if scores != sorted(scores, reverse=True):
        problems.append("the answers are not ranked")
    batch = tokenizer(text, return_tensors="pt")
    place = int((batch["input_ids"][0] == tokenizer.mask_token_id).nonzero())
    probabilities = outputs(candidate.model, dict(batch))[0, place].softmax(-1)
    problems += _apart(Tensor(scores[:5]), probabilities.topk(5).values, "the pipeline's best five")
    refuse(problems)
    return Finding(f"{len(scores)} answers, probabilities sum to {sum(scores):.6f}")


def text_classification(candidate: Candidate) -> Finding:
    """Check that there is a score for each label that config.json names, and that probabilities sum to 1.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if the folder has no tokenizer.
    """
    results = _pipeline("text-classification", candidate)(["the license", "you may copy it"], top_k=None)
    names = set(candidate.config.get("id2label", {}).values())
    problems = []
    single = candidate.config.get("problem_type") in (None, "single_label_classification") and len(names) > 1
    for result in results:
        scores = [item["score"] for item in result]
        labels = {item["label"] for item in result}
        if labels != names:
            problems.append(f"the labels are {sorted(labels)}, and config.json names {sorted(map(str, names))}")
        problems += _not_probabilities(scores, whole=single) if single else _not_finite(scores)
    refuse(list(dict.fromkeys(problems)))
    return Finding(f"labels {', '.join(sorted(map(str, names)))}" + (", probabilities sum to 1" if single else ""))


def feature_extraction(candidate: Candidate) -> Finding:
    """Check that the pipeline gives the last hidden state of every token, and not that of a randomly initialized model.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if the folder has no tokenizer.
    """
    tokenizer = candidate.tokenizer
    vectors = torch.tensor(_pipeline("feature-extraction", candidate)("the license"))
    states = outputs(candidate.load("AutoModel"), dict(tokenizer("the license", return_tensors="pt")))
    problems = _apart(vectors, states, "the pipeline's vectors")
    refuse(problems)
    return Finding(" x ".join(map(str, vectors.shape)))


def choices(candidate: Candidate) -> Finding:
    """Check that there is a score per choice, which does not depend on the other choices; multiple choice has no pipeline.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
    """
    model, batch = candidate.model, candidate.batch()
    scores = outputs(model, batch)
    alone = outputs(model, {name: item[:, :1] for name, item in batch.items()})
    problems = _not_finite(scores.flatten().tolist())
    if tuple(scores.shape) != tuple(batch["input_ids"].shape[:2]):
        problems.append(
            f"scores of the shape {tuple(scores.shape)} for choices of {tuple(batch['input_ids'].shape[:2])}"
        )
    problems += _apart(alone[:, 0], scores[:, 0], "a choice's score by itself and among others")
    refuse(problems)
    return Finding(f"{scores.shape[0]} questions of {scores.shape[1]} choices")


def _pipeline(task: str, candidate: Candidate) -> Any:
    tokenizer = candidate.tokenizer  # not run without one
    del tokenizer
    remote = {"trust_remote_code": LOCAL["trust_remote_code"]}
    return library("transformers").pipeline(
        task, model=str(candidate.view), device="cpu", dtype=torch.float32, **remote
    )


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


def _apart(computed: Tensor, expected: Tensor, what: str) -> list[str]:
    """Return a sentence if two results of the same weights differ by more than rounding."""
    scale = float(expected.abs().max())
    difference = (
        float((computed.double() - expected.double()).abs().max()) if computed.shape == expected.shape else math.inf
    )
    if difference <= _ROUNDING * scale:
        return []
    return [f"{what} and the model's differ by {difference:.1e}"]
