"""Runs under transformers 4.57: loads a converted folder as its users do, and answers with what it computes.

Arguments: the folder, expected.npz. Standard input: texts to encode.
"""

import json
import sys

import numpy as np
import torch
import transformers
from transformers import AutoModelForMaskedLM, AutoTokenizer


def main() -> None:
    """The loading report, the largest difference to the recorded logits, and the texts' ids."""
    folder, expected_file = sys.argv[1:]
    model, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    expected = np.load(expected_file)
    ids = torch.from_numpy(expected["input_ids"])
    real = ids != 1
    with torch.inference_mode():
        logits = model.eval()(ids, attention_mask=real.long()).logits
    recorded = torch.from_numpy(expected["logits"])
    apart = (logits[..., : recorded.shape[-1]][real] - recorded[real]).abs().max().item()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = json.load(sys.stdin)
    answer = {
        "version": transformers.__version__,
        "class": type(model).__name__,
        "loading": {key: list(value) for key, value in info.items()},
        "apart": apart,
        "ids": [tokenizer(text)["input_ids"] for text in texts],
    }
    json.dump(answer, sys.stdout)


main()
