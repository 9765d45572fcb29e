"""Loads folders with `tf_model.h5` in transformers 4's TensorFlow classes, and answers what these compute.

Called with a folder that holds `cases.json`: by name the class, and where, if anywhere, a second call goes on from the
cache of the first. Of each case it reads the folder `NAME` and `NAME.npz`, and writes `NAME.outputs.npz` and, saved
anew, the folder `NAME.again`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", USE_TF="1", USE_TORCH="0", USE_FLAX="0")

import numpy as np
import transformers


def answer(folder: Path, name: str, cls: str, split: int) -> None:
    """Computes one case. Where it is split, the second call has the rest of the columns, and the first one's cache."""
    model, info = getattr(transformers, cls).from_pretrained(folder / name, output_loading_info=True)
    assert not any(info.values()), info
    given = dict(np.load(folder / f"{name}.npz"))
    outputs = {}
    if split:
        ids, mask = given.pop("input_ids"), given.pop("attention_mask")
        first = model(input_ids=ids[:, :split], attention_mask=mask[:, :split], use_cache=True, **given)
        rest = model(input_ids=ids[:, split:], attention_mask=mask, past_key_values=first.past_key_values, **given)
        outputs["rest"] = rest.logits.numpy()
        for layer, entries in enumerate(first.past_key_values):
            outputs.update({f"past.{layer}.{number}": entry.numpy() for number, entry in enumerate(entries)})
    else:
        output = model(given, output_hidden_states=True, output_attentions=True)
        for field, value in output.items():
            if field == "past_key_values":
                continue
            if isinstance(value, tuple):
                outputs.update({f"{field}.{number}": item.numpy() for number, item in enumerate(value)})
            else:
                outputs[field] = value.numpy()
    np.savez(folder / f"{name}.outputs.npz", **outputs)
    model.save_pretrained(folder / f"{name}.again", safe_serialization=False, max_shard_size="20KB")


if __name__ == "__main__":
    home = Path(sys.argv[1])
    for case, (kind, where) in json.loads((home / "cases.json").read_text()).items():
        answer(home, case, kind, where)
    print(json.dumps(transformers.__version__))
