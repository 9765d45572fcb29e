"""How far weights moved between two folders, by layer, against the same computed from the checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from helpers.runs import RUN, STEPS, run_here
from prenorm.commands.run import movement
from prenorm.commands.run.movement import layer_of


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], part: str) -> float:
    """The relative change of fairseq's tensors whose names hold a word."""
    names = [name for name in before if part in name and before[name].is_floating_point()]
    assert names
    difference = sum(float((after[name].double() - before[name].double()).square().sum()) for name in names)
    return math.sqrt(difference / sum(float(before[name].double().square().sum()) for name in names))


def test_layers_move_as_the_checkpoints_weights_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = run_here(monkeypatch, RUN, tmp_path / "out", match="*_[12]_*", no_tokenizer=True, bpe_dir=None)
    states = [
        torch.load(RUN / name, weights_only=False)["model"]
        for name in ("checkpoint_1_8.pt", "checkpoint_2_16.pt", "checkpoint_2_24.pt")
    ]
    assert [(step.before, step.after) for step in report.movements] == [(STEPS[0], STEPS[1]), (STEPS[1], STEPS[2])]
    for step, before, after in zip(report.movements, states[:-1], states[1:], strict=True):
        assert list(step.layers) == ["embeddings", "layer 0", "layer 1", "final norm", "head"]
        for layer, part in (
            ("layer 0", ".layers.0."),
            ("layer 1", ".layers.1."),
            ("final norm", "encoder.layer_norm."),
        ):
            assert step.layers[layer] == pytest.approx(moved(before, after, part), rel=1e-9), layer
        assert step.layers["embeddings"] > 0.01 and step.layers["head"] > 0.001
    # What the last report compared is not read again.
    monkeypatch.setattr(movement, "_pieces", None)
    again, converted = run_here(monkeypatch, RUN, tmp_path / "out", match="*_[12]_*", no_tokenizer=True, bpe_dir=None)
    assert converted == [] and again.movements == report.movements


def test_memory_is_bounded_by_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = run_here(monkeypatch, RUN, tmp_path / "out", match="*_2_*")
    whole = report.movements[0].layers
    monkeypatch.setattr(movement, "_PIECE", 40)  # two rows of the embeddings at a time
    (tmp_path / "out" / "run_report.json").unlink()
    again, _ = run_here(monkeypatch, RUN, tmp_path / "out", match="*_2_*")
    assert again.movements[0].layers == pytest.approx(whole, rel=1e-12)


def test_every_tensor_has_its_layer() -> None:
    names = {
        "roberta_prelayernorm.embeddings.word_embeddings.weight": "embeddings",
        "roberta_prelayernorm.embeddings.LayerNorm.weight": "embeddings",
        "embeddings.position_embeddings.weight": "embeddings",
        "roberta.encoder.layer.11.attention.self.key.bias": "layer 11",
        "encoder.layer.0.output.dense.weight": "layer 0",
        "roberta_prelayernorm.LayerNorm.bias": "final norm",
        "roberta.encoder.LayerNorm.weight": "final norm",
        "lm_head.layer_norm.weight": "head",
        "lm_head.bias": "head",
        "classifier.dense.weight": "head",
    }
    assert {name: layer_of(name) for name in names} == names
