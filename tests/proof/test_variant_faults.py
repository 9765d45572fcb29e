"""Faults planted in what the variants add: heads, folded tensors, computed tables, old layouts. Each must be caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import prenorm.mapping.targets.target as target
import prenorm.mapping.understood as understood
import prenorm.source.folding as folding
import prenorm_model.torch.classification
from helpers.checkpoints import save_edited
from helpers.commands import run_main
from helpers.planted_faults import Plant, configure, edit_plan, lose, patch, rewrite
from helpers.variants import VARIANTS
from prenorm.rules.rows import Moved
from prenorm.source.layouts import Canonical
from prenorm.source.sizes import TABLE

Content = dict[str, Any]
CLASSIFIER = "sequence-classification"
POOLER = "roberta_prelayernorm.pooler.dense"


def change_fold(change: Callable[[dict[str, Moved], Canonical], None]) -> Plant:
    """The fault is in folding: canonical tensors come out wrong."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        real = understood.fold

        def wrong(canonical: Canonical, description: Any) -> Canonical:
            folded = real(canonical, description)
            tensors = dict(folded.tensors)
            change(tensors, canonical)
            return replace(folded, tensors=tensors)

        monkeypatch.setattr(understood, "fold", wrong)

    return plant


def forget_scale(tensors: dict[str, Moved], canonical: Canonical) -> None:
    tensors[TABLE] = canonical.tensors[TABLE]


def forget_spectral_norm(tensors: dict[str, Moved], canonical: Canonical) -> None:
    at = "classification_heads.sentence_classification_head.out_proj.weight"
    parts = [canonical.tensors[f"{at}_{part}"] for part in ("orig", "u", "v")]
    tensors[at] = replace(parts[0], also_from=tuple(name for part in parts[1:] for name in part.sources))


def shifted_sinusoids(monkeypatch: pytest.MonkeyPatch) -> None:
    real = folding.sinusoids
    monkeypatch.setattr(folding, "sinusoids", lambda *args: real(*args).roll(1, 0))


def swapped_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    real = folding.sinusoids
    monkeypatch.setattr(folding, "sinusoids", lambda *args: real(*args).roll(real(*args).shape[1] // 2, 1))


def linear_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's classification head forgets its tanh."""

    def forward(self: Any, hidden: Tensor) -> Tensor:
        out: Tensor = self.out_proj(self.dense(hidden[:, 0]))
        return out

    monkeypatch.setattr(prenorm_model.torch.classification.ClassificationHead, "forward", forward)


def last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's classification head looks at the last token instead of the first."""
    real = prenorm_model.torch.classification.ClassificationHead.forward
    monkeypatch.setattr(
        prenorm_model.torch.classification.ClassificationHead,
        "forward",
        lambda self, hidden: real(self, hidden.flip(1)),
    )


def swap_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pooler and classifier of a head with as many outputs as it is wide are taken for each other."""
    swap = {POOLER: "classifier", "classifier": POOLER}

    def other(name: str) -> str:
        stem, _, part = name.rpartition(".")
        return f"{swap.get(stem, stem)}.{part}"

    edit_plan(lambda row: replace(row, target=other(row.target)))(monkeypatch)


FAULTS: dict[tuple[str, str], Plant] = {
    (CLASSIFIER, "label rows permuted"): rewrite(r"classifier\.out_proj\.weight", lambda t: t.flip(0)),
    (CLASSIFIER, "label biases permuted"): rewrite(r"classifier\.out_proj\.bias", lambda t: t.flip(0)),
    (CLASSIFIER, "dense bias lost"): lose("classifier.dense.bias"),
    (CLASSIFIER, "output bias lost"): lose("classifier.out_proj.bias"),
    (CLASSIFIER, "dense transposed"): rewrite(r"classifier\.dense\.weight", torch.t),
    (CLASSIFIER, "tanh forgotten"): linear_pooler,
    (CLASSIFIER, "last token instead of the first"): last_token,
    (CLASSIFIER, "one label fewer in the config"): configure(
        id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}
    ),
    ("classification-relu", "gelu instead of relu"): configure(hidden_act="gelu"),
    ("sentence-ranking", "dense bias lost"): lose(f"{POOLER}.bias"),
    ("sentence-ranking", "output bias lost"): lose("classifier.bias"),
    ("sentence-ranking", "dense transposed"): rewrite(rf"{POOLER}\.weight", torch.t),
    ("sentence-ranking", "pooler and classifier swapped"): swap_maps,
    ("spectral-norm-head", "not divided by the norm"): change_fold(forget_spectral_norm),
    ("scaled-embedding", "scale forgotten"): change_fold(forget_scale),
    ("scaled-embedding", "scaled head"): edit_plan(
        lambda row: replace(row, moved=None, fill=1.0) if row.target == "lm_head.decoder.weight" else row
    ),
    ("sinusoidal-positions", "table shifted"): shifted_sinusoids,
    ("sinusoidal-positions", "sine and cosine swapped"): swapped_halves,
    ("no-positions", "position rows not zero"): rewrite(r".*position_embeddings\.weight", lambda t: t + 1e-3),
    ("other-pad-id", "usual pad id"): configure(pad_token_id=1),
    ("prenorm-classification", "final norm's weights lost"): rewrite(r"roberta\.encoder\.LayerNorm\.weight", torch.ones_like),
    ("prenorm-ranking", "output bias lost"): lose("classifier.bias"),
    ("activation-gelu-accurate", "erf GELU"): patch(target, "ACTIVATIONS", {"gelu_accurate": "gelu"}),
    ("activation-relu-squared", "plain relu"): patch(target, "ACTIVATIONS", {"relu_squared": "relu"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "fault"), FAULTS, ids=lambda word: word)
def test_fault_is_caught(variant: str, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FAULTS[variant, fault](monkeypatch)
    options = ["--task", "encoder"] if variant.startswith("activation") else []
    source = VARIANTS / variant / "checkpoint.pt"
    assert run_main(monkeypatch, "convert", source, tmp_path / "out", "--quiet", *options) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_wrong_head_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows that take another head's tensors of the same shapes."""

    def second(content: Content) -> None:
        at = "classification_heads.sentence_classification_head."
        model = content["model"]
        model |= {
            key.replace(at, "classification_heads.other."): value * 1.5 for key, value in model.items() if at in key
        }

    path = save_edited(tmp_path / "two.pt", second, VARIANTS / CLASSIFIER / "checkpoint.pt")
    real = target.Target.rules

    def wrong(self: target.Target, description: Any, task: Any) -> Any:
        return real(self, description, replace(task, head=replace(task.head, name="other")))

    monkeypatch.setattr(target.Target, "rules", wrong)
    output = tmp_path / "out"
    assert run_main(monkeypatch, "convert", path, output, "--head", "sentence_classification_head", "--quiet") == 1
    assert not output.exists()
