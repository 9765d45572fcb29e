"""Runs under transformers 4.57: loads the folders that our Flax models wrote, answers, and writes folders of its own.

Argument: a folder with `cases.json`, and per case `NAME/` (config.json and flax_model.msgpack) and `NAME.inputs.npz`. What
the model computes goes to `NAME.outputs.npz`; the model with other weights to `NAME.theirs/`, and what that one computes to
`NAME.theirs.npz`.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(USE_FLAX="1", USE_TF="0", USE_TORCH="0")

import jax
import numpy as np
import transformers


def main() -> None:
    """Answers every case."""
    folder = Path(sys.argv[1])
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        model = getattr(transformers, case["class"]).from_pretrained(folder / name)
        inputs = dict(np.load(folder / f"{name}.inputs.npz"))
        np.savez(folder / f"{name}.outputs.npz", **computed(model, inputs))
        model.params = jax.tree_util.tree_map(lambda leaf: leaf[..., ::-1] * 0.9, model.params)
        model.save_pretrained(folder / f"{name}.theirs", max_shard_size=case["shard"])
        np.savez(folder / f"{name}.theirs.npz", **computed(model, inputs))
        if case["steps"]:
            np.savez(folder / f"{name}.steps.npz", *steps(model, inputs))
    json.dump(transformers.__version__, sys.stdout)


def computed(model, inputs):
    """All outputs of a forward, each under a name."""
    output = model(**inputs, output_attentions=True, output_hidden_states=True)
    arrays = {}
    for field, value in output.items():
        items = enumerate(value) if isinstance(value, tuple) else [("", value)]
        arrays.update({f"{field}.{number}": np.asarray(item) for number, item in items})
    return arrays


def steps(model, inputs):
    """The logits of a forward in three steps, with a cache."""
    ids, mask = inputs.pop("input_ids"), inputs.pop("attention_mask")
    inputs.pop("token_type_ids")
    past, rows = model.init_cache(ids.shape[0], 16), []
    room = np.ones((ids.shape[0], 16), "i4")
    room[:, : mask.shape[1]] = mask
    positions = np.cumsum(mask, axis=1) * mask + model.config.pad_token_id
    for start, end in ((0, 6), (6, 7), (7, 12)):
        output = model(ids[:, start:end], room, position_ids=positions[:, start:end], past_key_values=past, **inputs)
        past = output.past_key_values
        rows.append(np.asarray(output.logits))
    return rows


main()
