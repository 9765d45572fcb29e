"""A folder in transformers, held against recorded outputs. It runs in any interpreter that has transformers, of any version.

As a script: jobs as a JSON list on standard input, their results as a JSON list on standard output.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
import transformers

AUTO_CLASSES = {
    "masked-lm": "AutoModelForMaskedLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "multiple-choice": "AutoModelForMultipleChoice",
    "encoder": "AutoModel",
}


def measure(folder: str, kind: str, head: str | None, pad: int, expected: str) -> dict[str, Any]:
    """Loads the folder in float32 and computes the recorded batch.

    Returns:
        `class`, `loading` (the keys that did not fit), and `apart`, the largest difference to what was recorded.
    """
    options = {"add_pooling_layer": False} if kind == "encoder" else {}
    model, info = getattr(transformers, AUTO_CLASSES[kind]).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, trust_remote_code=False, **options
    )
    recorded = np.load(expected)
    ids = torch.from_numpy(recorded["input_ids"])
    real = ids != pad
    as_choices = kind == "multiple-choice"  # every row is the only choice of a question
    with torch.inference_mode():
        output = model.eval()(
            input_ids=ids[:, None] if as_choices else ids,
            attention_mask=(real[:, None] if as_choices else real).long(),
        )
    if kind == "encoder":
        found, wanted = output.last_hidden_state[real], torch.from_numpy(recorded["features"])[real]
    elif kind == "masked-lm":
        wanted = torch.from_numpy(recorded["logits"])[real]
        found = output.logits[real][:, : wanted.shape[-1]]
    else:
        found, wanted = output.logits, torch.from_numpy(recorded[f"head.{head}"])
    assert found.shape == wanted.shape
    return {
        "class": type(model).__name__,
        "loading": {key: sorted(map(str, value)) for key, value in info.items() if value},
        "apart": float((found - wanted).abs().max()),
        "version": transformers.__version__,
    }


if __name__ == "__main__":
    json.dump([measure(**job) for job in json.load(sys.stdin)], sys.stdout)
