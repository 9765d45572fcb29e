"""Runs under transformers 4.57: loads the folders that our Flax models wrote, answers, and writes folders of its own.

Argument: a folder with `cases.json`, and per case `NAME/` (config.json and flax_model.msgpack) and `NAME.inputs.npz`. What
the model computes goes to `NAME.outputs.npz`; the model with other weights to `NAME.theirs/`, and what that one computes to
`NAME.theirs.npz`.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

os.environ.update(USE_FLAX="1", USE_TF="0", USE_TORCH="0")

import jax
import numpy as np
import transformers


def main() -> None:
    """Answers every case. Each model is one compiled function, for operations compiled one by one cost more."""
    folder = Path(sys.argv[1])
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        model, params = getattr(transformers, case["class"]).from_pretrained(folder / name, _do_init=False)
        inputs = dict(np.load(folder / f"{name}.inputs.npz"))
        forward = jax.jit(partial(model, output_attentions=True, output_hidden_states=True))
        np.savez(folder / f"{name}.outputs.npz", **arrays_of(forward(**inputs, params=params)))
        params = jax.tree_util.tree_map(lambda leaf: leaf[..., ::-1] * 0.9, params)
        model.save_pretrained(folder / f"{name}.theirs", params=params, max_shard_size=case["shard"])
        np.savez(folder / f"{name}.theirs.npz", **arrays_of(forward(**inputs, params=params)))
        if case["steps"]:
            np.savez(folder / f"{name}.steps.npz", *logits_of(case["steps"], model, params, inputs))
    json.dump(transformers.__version__, sys.stdout)


def arrays_of(output):
    """All arrays of an output, each under a name."""
    arrays = {}
    for field, value in output.items():
        items = enumerate(value) if isinstance(value, tuple) else [("", value)]
        arrays.update({f"{field}.{number}": np.asarray(item) for number, item in items})
    return arrays


def logits_of(steps, model, params, inputs):
    """The logits of a forward in steps, each from a token to another, with a cache."""
    ids, mask = inputs.pop("input_ids"), inputs.pop("attention_mask")
    inputs.pop("token_type_ids")
    past = jax.jit(partial(model.init_cache, ids.shape[0], 16))()
    rows, forward = [], jax.jit(model)
    room = np.ones((ids.shape[0], 16), "i4")
    room[:, : mask.shape[1]] = mask
    positions = np.cumsum(mask, axis=1) * mask + model.config.pad_token_id
    for start, end in steps:
        step = {"position_ids": positions[:, start:end], "past_key_values": past, "params": params}
        output = forward(ids[:, start:end], room, **step, **inputs)
        past = output.past_key_values
        rows.append(np.asarray(output.logits))
    return rows


main()
