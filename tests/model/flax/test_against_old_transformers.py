"""Against transformers 4.57's own Flax classes: they load what ours wrote, ours load what they wrote, and all agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

from helpers.flax_pairs import as_arrays, flax_pair
from helpers.model_pairs import NAMES, SMALL, inputs_for
from helpers.paths import OLD_TRANSFORMERS_PYTHON, SCRIPTS
from helpers.workers import run_worker
from prenorm_model import flax as flax_part

pytestmark = pytest.mark.slow

CROSSING = "RobertaPreLayerNormForCausalLM crossing"
# Name, changes of the config, and how large a file of theirs may be: small ones are cut into several.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    **{name: ({}, "10GB") for name in NAMES},
    "RobertaPreLayerNormForMaskedLM untied": ({"tie_word_embeddings": False, "hidden_act": "gelu_new"}, "20KB"),
    CROSSING: ({"add_cross_attention": True}, "10GB"),
}
# From which token to which a text is computed with a cache, in lengths of two kinds: each is compiled.
STEPS = ((0, 5), (5, 10), (10, 11), (11, 12))


def model_of(case: str) -> Any:
    """Our model of a case. In float32, with weights of which 1e-5 is a hundred roundings."""
    _, ours = flax_pair(case.split()[0], "float32", **CASES[case][0])
    ours.params = jax.tree.map(lambda leaf: leaf * 0.5, ours.params)
    return ours


def inputs_of(case: str) -> dict[str, Any]:
    inputs = as_arrays(inputs_for(case))
    if case == CROSSING:
        states = torch.randn(3, 5, SMALL["hidden_size"], generator=torch.Generator().manual_seed(3))
        inputs["encoder_hidden_states"] = states.numpy()
        inputs["encoder_attention_mask"] = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    return inputs


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers 4.57 makes of all cases; it is started once."""
    folder = tmp_path_factory.mktemp("old")
    described = {}
    for case, (_, shard) in CASES.items():
        name = case.split()[0]
        ours = model_of(case)
        ours.save_pretrained(folder / case, safe_serialization=False)
        assert sorted(path.name for path in (folder / case).iterdir()) == ["config.json", "flax_model.msgpack"]
        np.savez(folder / f"{case}.inputs.npz", **inputs_of(case))
        described[case] = {"class": f"Flax{name}", "shard": shard, "steps": STEPS if case == CROSSING else ()}
    (folder / "cases.json").write_text(json.dumps(described))
    assert OLD_TRANSFORMERS_PYTHON.exists(), "transformers 4.57 is not installed: run `make test`"
    assert run_worker(OLD_TRANSFORMERS_PYTHON, SCRIPTS / "old_transformers_flax.py", folder).startswith("4.57")
    return folder


def differences(output: Any, expected: Any, mask: np.ndarray) -> dict[str, float]:
    """The largest differences at tokens that are no pads, of all arrays."""
    found = {}
    for field, value in output.items():
        for number, item in enumerate(value) if isinstance(value, tuple) else [("", value)]:
            ours, theirs = np.asarray(item), expected[f"{field}.{number}"]
            assert ours.shape == theirs.shape
            pair = (ours, theirs)
            if ours.ndim == 4:
                pair = tuple(x.transpose(0, 2, 1, 3) for x in pair)
            if pair[0].shape[:2] == mask.shape:
                pair = tuple(x[mask == 1] for x in pair)
            found[f"{field}.{number}"] = float(np.abs(pair[0] - pair[1]).max())
    assert len(found) == len(expected)
    return found


@pytest.mark.parametrize("case", CASES)
def test_both_load_each_others_files_and_agree(case: str, answers: Path) -> None:
    name = case.split()[0]
    with jax.enable_x64(False):
        ours = model_of(case)
        theirs = getattr(flax_part, f"Flax{name}").from_pretrained(answers / f"{case}.theirs")
        inputs = inputs_of(case)
        mask = inputs["attention_mask"].reshape(-1, 12)
        for model, file in ((ours, f"{case}.outputs.npz"), (theirs, f"{case}.theirs.npz")):
            output = model(**inputs, output_attentions=True, output_hidden_states=True)
            apart = differences(output, np.load(answers / file), mask)
            assert max(apart.values()) <= 1e-5, apart
    is_cut = len(list((answers / f"{case}.theirs").glob("flax_model-*-of-*.msgpack"))) > 1
    assert is_cut == (CASES[case][1] == "20KB")


def test_steps_with_a_cache_agree(answers: Path) -> None:
    model = flax_part.FlaxRobertaPreLayerNormForCausalLM.from_pretrained(answers / f"{CROSSING}.theirs")
    inputs = inputs_of(CROSSING)
    ids, mask = inputs.pop("input_ids"), inputs.pop("attention_mask")
    del inputs["token_type_ids"]
    past = model.init_cache(3, 16)
    expected = np.load(answers / f"{CROSSING}.steps.npz")
    for number, (start, end) in enumerate(STEPS):
        output = model(ids[:, start:end], mask[:, :end], past_key_values=past, **inputs)
        past = output.past_key_values
        real = mask[:, start:end] == 1
        assert np.abs(np.asarray(output.logits) - expected[f"arr_{number}"])[real].max() <= 1e-5
