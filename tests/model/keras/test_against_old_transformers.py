"""Against transformers 4.57's own TensorFlow classes, which load what we write, and write what we load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras import ops

from helpers.keras_pairs import as_arrays, keras_pair
from helpers.model_pairs import NAMES, SMALL, batch, inputs_for, labels_for
from helpers.paths import OLD_TRANSFORMERS_PYTHON, SCRIPTS
from helpers.workers import run_worker
from prenorm_model import keras as keras_part

pytestmark = pytest.mark.slow

CAUSAL, SEQUENCE = "RobertaPreLayerNormForCausalLM", "RobertaPreLayerNormForSequenceClassification"
CROSS = {"is_decoder": True, "add_cross_attention": True}
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    **{name: (name, {}, 0) for name in NAMES},
    "regression": (SEQUENCE, {"num_labels": 1}, 0),
    "embeddings": (NAMES[0], {}, 0),
    "cached": (CAUSAL, CROSS, 7),
}


def net_of(case: str) -> Any:
    name, changes, _ = CASES[case]
    return keras_pair(name, "float32", **changes)[1]


def given_to(case: str) -> dict[str, np.ndarray]:
    name = CASES[case][0]
    inputs = {**inputs_for(name), **labels_for(name)}
    if "Question" in name:  # 4.57 knows no position outside the text
        inputs.update(start_positions=torch.tensor([1, 3, 11]), end_positions=torch.tensor([4, 11, 6]))
    if case == "regression":
        inputs["labels"] = torch.tensor([0.5, 1.0, 2.0])
    if case == "embeddings":
        generator = torch.Generator().manual_seed(4)
        inputs = {
            "inputs_embeds": torch.randn(3, 12, SMALL["hidden_size"], generator=generator),
            "attention_mask": batch()[1], "position_ids": torch.arange(14, 2, -1)[None].expand(3, 12),
        }  # fmt: skip
    if case == "cached":
        ids = batch()[0].clamp(min=2)  # 4.57 counts the positions of pads in a cache too
        states = torch.ones(3, 5, SMALL["hidden_size"]).cumsum(1) / 9
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "encoder_hidden_states": states}
        inputs["encoder_attention_mask"] = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1]])
    return {key: np.ascontiguousarray(value) for key, value in as_arrays(inputs).items()}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers 4.57 says to all cases; it is started once."""
    folder = tmp_path_factory.mktemp("old")
    for case in CASES:
        net_of(case).save_pretrained(folder / case, safe_serialization=False)
        np.savez(folder / f"{case}.npz", **given_to(case))
    described = {case: (f"TF{name}", split) for case, (name, _, split) in CASES.items()}
    (folder / "cases.json").write_text(json.dumps(described))
    version = run_worker(OLD_TRANSFORMERS_PYTHON, SCRIPTS / "old_transformers_tensorflow.py", folder)
    assert version.startswith("4.57")
    return folder


def flat(output: Any) -> dict[str, np.ndarray]:
    found = {}
    for field, value in output.items():
        if field == "past_key_values":
            continue
        items = value if isinstance(value, tuple) else [value]
        for number, item in enumerate(items):
            found[f"{field}.{number}" if isinstance(value, tuple) else field] = item
    return {name: ops.convert_to_numpy(item) for name, item in found.items()}


@pytest.mark.parametrize("case", [case for case in CASES if case != "cached"])
def test_outputs_and_losses_are_those_of_transformers_4(case: str, answers: Path) -> None:
    wanted, given = dict(np.load(answers / f"{case}.outputs.npz")), given_to(case)
    got = flat(net_of(case)(given, output_hidden_states=True, output_attentions=True))
    if "MultipleChoice" in case:  # whose states and weights 4.57 does not hand on
        got = {name: got[name] for name in ("loss", "logits")}
    assert got.keys() == wanted.keys()
    real = given["attention_mask"].astype(bool)
    assert "loss" in got or not labels_for(CASES[case][0])
    for name, value in wanted.items():
        assert got[name].shape == value.shape, name
        difference = np.abs(got[name] - value)
        if (
            case == CAUSAL and name != "loss"
        ):  # in 4.57 a pad does not see itself, and what comes out there means nothing
            difference = (difference.swapaxes(1, 2) if name.startswith("attentions") else difference)[real]
        assert difference.max() <= 1e-5 * max(1.0, float(np.abs(value).max())), name


def test_the_cache_is_that_of_transformers_4(answers: Path) -> None:
    wanted, given = dict(np.load(answers / "cached.outputs.npz")), given_to("cached")
    ids, mask, net = given.pop("input_ids"), given.pop("attention_mask"), net_of("cached")
    first = net(ids[:, :7], mask[:, :7], use_cache=True, **given)
    rest = net(ids[:, 7:], mask, past_key_values=first.past_key_values, **given)
    assert np.abs(ops.convert_to_numpy(rest.logits) - wanted.pop("rest")).max() <= 1e-5
    entries = {
        f"past.{layer}.{number}": ops.convert_to_numpy(entry)
        for layer, pair in enumerate(first.past_key_values)
        for number, entry in enumerate(pair)
    }
    assert entries.keys() == wanted.keys()
    assert all(np.abs(entries[name] - value).max() <= 1e-5 for name, value in wanted.items())


@pytest.mark.parametrize("case", CASES)
def test_what_transformers_4_writes_is_loaded(case: str, answers: Path) -> None:
    folder = answers / f"{case}.again"
    assert not list(folder.glob("*.safetensors"))
    assert (folder / "tf_model.h5.index.json").exists()
    again = getattr(keras_part, f"TF{CASES[case][0]}").from_pretrained(folder)
    written = {name: weight.variable for name, weight in net_of(case).named_weights().items()}
    for name, weight in again.named_weights().items():
        wanted = ops.convert_to_numpy(written[name].value)
        assert np.array_equal(ops.convert_to_numpy(weight.variable.value), wanted), name
