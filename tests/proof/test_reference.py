"""The built-in reference against what real fairseq and DinkyTrain recorded: it must be right before it can judge."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import torch

from helpers.paths import CONVERTIBLE, FIXTURES, ROOT
from prenorm.parts import open_checkpoint
from prenorm.proof.references.builtin import BuiltinReference, ReferenceSettings
from prenorm.source.contents import model_tensors


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_every_stage_is_what_fairseq_computed(name: str) -> None:
    tensors = model_tensors(open_checkpoint(FIXTURES / name / "checkpoint.pt"))
    reference = BuiltinReference(tensors, ReferenceSettings(attention_heads=4))
    expected = np.load(FIXTURES / name / "expected.npz")
    input_ids = torch.from_numpy(expected["input_ids"])
    real = input_ids != 1
    stages = dict(reference.stages(input_ids))
    assert list(stages) == ["embeddings", "layers.0", "layers.1", "layers.2", "layer_norm"]
    hidden = torch.from_numpy(expected["hidden_states"]).double()
    for recorded, stage in zip(hidden, ["embeddings", "layers.0", "layers.1", "layers.2"], strict=True):
        assert (stages[stage]["out"][real] - recorded[real]).abs().max() < 1e-5
    features = stages["layer_norm"]["out"]
    assert (features[real] - torch.from_numpy(expected["features"])[real]).abs().max() < 1e-5
    logits = reference.logits(features[real])
    assert logits.dtype == torch.float64
    assert (logits - torch.from_numpy(expected["logits"])[real]).abs().max() < 1e-5


def test_it_uses_every_tensor_that_matters() -> None:
    tensors = model_tensors(open_checkpoint(FIXTURES / "dinkytrain-mlm" / "checkpoint.pt"))
    reference = BuiltinReference(tensors, ReferenceSettings(attention_heads=4))
    features = dict(reference.stages(torch.tensor([[0, 5, 2]])))["layer_norm"]["out"]
    reference.logits(features[0])
    assert set(tensors) - reference.used == {"encoder.sentence_encoder.version"}


ALONE = {"__future__", "collections.abc", "dataclasses", "math", "re", "torch"}


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("builtin_names", set()),
        ("builtin_functions", set()),
        (
            "builtin",
            {
                "prenorm.checkpoint.tensors",
                "prenorm.proof.references.builtin_functions",
                "prenorm.proof.references.builtin_names",
            },
        ),
    ],
)
def test_it_shares_no_code_with_model_or_mapping(module: str, others: set[str]) -> None:
    path = ROOT / "converter" / "prenorm" / "proof" / "references" / f"{module}.py"
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= ALONE | others
