"""Loads, saves and pushes with the bundled model, whose only Hub is the one of HF_ENDPOINT; calls in JSON, answers in JSON.

A call is `{"do": what, "class": name, ...}`: `load` takes `source` and `options` and answers with the sum of the first bias;
`save` and `push` are of the model that was loaded last.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import prenorm_model


def answer(call: dict[str, Any], loaded: list[Any]) -> dict[str, Any]:
    """What comes of one call."""
    try:
        if call["do"] == "load":
            loaded.append(getattr(prenorm_model, call["class"]).from_pretrained(call["source"], **call["options"]))
            if call["class"].endswith("Config"):
                return {"labels": loaded[-1].num_labels, "from": loaded[-1].name_or_path}
            return {"sum": float(loaded[-1].lm_head.bias.detach().sum())}
        return {"result": str(getattr(loaded[-1], call["do"])(*call["arguments"], **call["options"]))}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error), "cause": type(error.__cause__).__name__}


if __name__ == "__main__":
    models: list[Any] = []
    json.dump([answer(call, models) for call in json.load(sys.stdin)], sys.stdout)
