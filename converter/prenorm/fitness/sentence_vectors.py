"""sentence-transformers on the plain folder: it puts mean pooling on the encoder."""

from __future__ import annotations

from typing import Any

import torch

from prenorm.fitness.finding import Finding, Unfit, need
from prenorm.fitness.subject import LOCAL, Subject, library, outputs

_SENTENCES = ["the license", "you may copy it, and you may change it"]
_ROUNDING = 1e-5  # of the largest value: the same float32 in another order


def check_sentence_vectors(subject: Subject) -> Finding:
    """The vectors of two sentences of different length are the means of their tokens' last hidden states, pads aside."""
    need("sentence-transformers")
    tokenizer = subject.tokenizer
    options: Any = {"model_kwargs": {"dtype": torch.float32}, **LOCAL}
    model = library("sentence_transformers").SentenceTransformer(str(subject.view), device="cpu", **options)
    found = model.encode(_SENTENCES, convert_to_tensor=True, show_progress_bar=False)
    batch = dict(tokenizer(_SENTENCES, padding=True, return_tensors="pt"))
    states = outputs(subject.load("AutoModel"), batch)
    mask = batch["attention_mask"][..., None].float()
    wanted = (states * mask).sum(1) / mask.sum(1)
    if found.shape != wanted.shape:
        raise Unfit([f"vectors of the shape {tuple(found.shape)}, must be {tuple(wanted.shape)}"])
    tolerance = _ROUNDING * float(wanted.abs().max())
    difference = float((found - wanted).abs().max())
    metrics = {"max_abs_diff": difference, "tolerance": tolerance}
    if not difference <= tolerance:
        raise Unfit([f"vectors are {difference:.1e} from the means of the last hidden states"], metrics)
    return Finding(f"mean pooling, {wanted.shape[1]} numbers per sentence", metrics)
