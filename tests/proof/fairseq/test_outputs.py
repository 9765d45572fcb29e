"""What real fairseq computes, and that faults in what it is given show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.fairseq import AT, CHECKPOINTS, IDS, PARTS, REFUSED, VARIANTS, Run, own_reference, told, understood
from helpers.paths import MLM
from prenorm.errors import NotRepresentable, UsageProblem
from prenorm.proof.references import builtin
from prenorm.proof.references.fairseq.process import FairseqWorker
from prenorm.proof.references.fairseq.reference import FairseqReference, Noise

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_fairseq_computes_what_was_recorded_and_what_we_compute(path: Path, worker: FairseqWorker) -> None:
    expected = np.load(path.parent / "expected.npz")
    run = Run(worker, path, torch.from_numpy(expected["input_ids"]))
    layers = run.prepared.description.layers
    assert [*run.found][: layers + 2] == ["embeddings", *(f"layers.{n}" for n in range(layers)), "layer_norm"]
    assert all(run.found[f"layers.{n}"].keys() == PARTS for n in range(layers))
    recorded = {"layer_norm": expected["features"]}
    if "hidden_states" in expected.files:  # not of checkpoints in several files
        recorded |= {"embeddings": expected["hidden_states"][0]}
        recorded |= {f"layers.{n}": expected["hidden_states"][n + 1] for n in range(layers)}
    recorded |= {name: expected[name] for name in expected.files if name == "logits" or name.startswith("head.")}
    assert run.found.keys() - recorded.keys() <= ({"embeddings", *(f"layers.{n}" for n in range(layers))})
    assert recorded.keys() <= run.found.keys()
    for name, values in recorded.items():
        there = torch.from_numpy(values).double()
        apart = (run.found[name]["out"] - (there if name.startswith("head.") else there[run.real])).abs().max()
        assert apart <= run.reference.measured[name, "out"].float32 + 1e-6, name
    for head in run.prepared.description.heads:
        at = f"head.{head.name}"
        if (
            run.prepared.description.pooler_activation != "tanh"
        ):  # the built-in one has tanh, and such heads are refused
            assert run.apart(at, "out") > 0.01
            del run.found[at]["out"]
        elif head.spectral_norm:  # the built-in one rounds the quotient to float32, as the converter does
            assert 1e-9 < run.apart(at, "out") < 2**-24 * 16 * run.reference.measured[at, "out"].scale
            del run.found[at]["out"]
    assert run.excess() <= 0


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.parent.name)
def test_the_other_checkpoints_are_no_such_model_or_need_options(path: Path) -> None:
    with pytest.raises((NotRepresentable, UsageProblem)):
        understood(path)


def test_there_are_as_many_as_there_were() -> None:
    assert len(CHECKPOINTS) >= 66


def test_the_noise_is_that_of_float32_and_of_the_cast_in_gelu(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS)
    before, behind = run.reference.measured["layers.0", "fc1"], run.reference.measured["layers.0", "fc2"]
    assert before.rounding == 0.0
    assert 1e-9 < behind.rounding < 1e-6
    assert 1e-8 < before.float32 < 1e-5
    assert behind.scale == pytest.approx(float(run.found["layers.0"]["fc2"].abs().max()))
    no_gelu = Run(worker, VARIANTS / "activation-relu" / "checkpoint.pt", torch.tensor([[0, 5, 2]]))
    assert {noise.rounding for noise in no_gelu.reference.measured.values()} == {0.0}


def test_float32_alone_has_no_noise_to_show(worker: FairseqWorker) -> None:
    run = Run(worker, MLM, IDS, dtype="float32")
    assert run.reference.facts["compute_dtype"] == "float32"
    assert {noise.float32 for noise in run.reference.measured.values()} == {0.0}
    assert 1e-8 < run.apart("logits", "out") < 1e-5


def test_a_wrong_number_of_heads_shows(worker: FairseqWorker) -> None:
    prepared = understood(MLM)
    model = told(prepared)
    assert isinstance(model.arguments, dict)
    model.arguments["encoder_attention_heads"] = 2
    found, expected = dict(FairseqReference(worker, model).stages(IDS)), dict(own_reference(prepared).stages(IDS))
    real = IDS != 1
    assert (found["layers.0"]["q_proj"] - expected["layers.0"]["q_proj"])[real].abs().max() < 1e-13
    assert (found["layers.0"]["out_proj"] - expected["layers.0"]["out_proj"])[real].abs().max() > 1e-3


def test_swapped_projections_show(worker: FairseqWorker) -> None:
    prepared = understood(MLM)
    model = told(prepared)
    assert isinstance(model.stored, dict)
    q, k = (f"{AT}layers.1.self_attn.{part}_proj.weight" for part in "qk")
    model.stored[q], model.stored[k] = model.stored[k], model.stored[q]
    reference = FairseqReference(worker, model)
    found, expected = dict(reference.stages(IDS)), dict(own_reference(prepared).stages(IDS))
    real = IDS != 1
    for name, part, differs in (
        ("layers.0", "out", False),
        ("layers.1", "q_proj", True),
        ("layers.1", "v_proj", False),
    ):
        apart = (found[name][part] - expected[name][part])[real].abs().max()
        assert bool(apart > reference.measured[name, part].rounding + 1e-12) is differs


def test_a_wrong_epsilon_shows_beyond_the_noise(monkeypatch: pytest.MonkeyPatch, worker: FairseqWorker) -> None:
    monkeypatch.setattr(builtin, "EPSILON", 1e-12)
    run = Run(worker, MLM, IDS)
    for name in ("embeddings", "layer_norm", "logits"):
        assert run.apart(name, "out") > 10 * run.reference.measured[name, "out"].rounding + 1e-9


def test_noise_is_the_largest_of_all_batches() -> None:
    noise = Noise()
    noise.add({"float32": 2.0, "rounding": 0.5, "scale": 3.0})
    noise.add({"float32": 1.0, "rounding": 0.75})
    assert noise == Noise(2.0, 0.75, 3.0)
