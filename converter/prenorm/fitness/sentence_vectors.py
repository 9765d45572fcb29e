"""sentence-transformers on the plain folder: it puts mean pooling on the encoder."""

from __future__ import annotations

from typing import Any

import torch

from prenorm.fitness.candidate import LOCAL, Candidate, library, outputs
from prenorm.fitness.finding import Finding, Unfit, need

_SENTENCES = ["the license", "you may copy it, and you may change it"]
_ROUNDING = 1e-5  # of the largest value: the same float32 in another order


def check_sentence_vectors(candidate: Candidate) -> Finding:
    """Check that a sentence's vector is the mean of its tokens' last hidden states, with and without padding.

    Args:
        candidate: the folder under trial.

    Returns:
        What was seen.

    Raises:
        Unfit: with a sentence for each problem.
        NotRun: if the folder has no tokenizer.
        NotRun: if sentence-transformers is not installed.
    """
    need("sentence-transformers")
    tokenizer = candidate.tokenizer
    options: Any = {"model_kwargs": {"dtype": torch.float32}, **LOCAL}
    model = library("sentence_transformers").SentenceTransformer(str(candidate.view), device="cpu", **options)
    vectors = model.encode(_SENTENCES, convert_to_tensor=True, show_progress_bar=False)
    # A model may be too short for a sentence; sentence-transformers cuts it as well.
    batch = dict(
        tokenizer(_SENTENCES, padding=True, truncation=True, max_length=candidate.longest, return_tensors="pt")
    )
    states = outputs(candidate.load("AutoModel"), batch)
    mask = batch["attention_mask"][..., None].float()
    means = (states * mask).sum(1) / mask.sum(1)
    if vectors.shape != means.shape:
        raise Unfit([f"vectors of the shape {tuple(vectors.shape)}, must be {tuple(means.shape)}"])
    tolerance = _ROUNDING * float(means.abs().max())
    difference = float((vectors - means).abs().max())
    metrics = {"max_abs_diff": difference, "tolerance": tolerance}
    if not difference <= tolerance:
        raise Unfit([f"vectors are {difference:.1e} from the means of the last hidden states"], metrics)
    return Finding(f"mean pooling, {means.shape[1]} numbers per sentence", metrics)
