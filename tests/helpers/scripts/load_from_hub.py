"""Loads a repo and a folder with transformers, in a process whose only Hub is the one of HF_ENDPOINT, and compares them."""

import json
import sys

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

TEXT = "The norm stands <mask> the sublayer, à peu près."


def outputs(place):
    model = AutoModelForMaskedLM.from_pretrained(place).eval()
    tokens = AutoTokenizer.from_pretrained(place)(TEXT, return_tensors="pt")
    with torch.no_grad():
        return type(model).__name__, tokens["input_ids"], model(**tokens).logits


if __name__ == "__main__":
    (kind, ids, logits), (_, other_ids, other_logits) = outputs(sys.argv[1]), outputs(sys.argv[2])
    assert logits.std() > 0
    same = {"equal": torch.equal(logits, other_logits), "same_tokens": torch.equal(ids, other_ids)}
    print(json.dumps({"class": kind, **same}))
