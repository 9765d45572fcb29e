"""Target to source: the rules turned round give every tensor of the checkpoint back, bit by bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from helpers.tensors import in_memory
from helpers.variant_cases import CASES
from helpers.variants import Case
from prenorm import convert
from prenorm.checkpoint import SourceTensor
from prenorm.mapping.targets import target_for
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.rules import OperationKind, invert, restore
from prenorm.source.layouts import ENCODER, EVERYWHERE

pytestmark = pytest.mark.slow

EXACT = [case for case in CASES if case.refusal is None]
# What is computed has no way back; these operations' sources are excused, and nothing else.
ONE_WAY = (OperationKind.COMPUTED, OperationKind.CONSTANT)


def turned_round(stored: dict[str, Tensor], prepared: Prepared) -> dict[str, SourceTensor]:
    """The folder's tensors under the checkpoint's own names, by the inverted rules alone."""
    description, plan = prepared.description, prepared.plan
    target = target_for(description)
    if plan.task.kind.value == "encoder":
        stored = {target.prefix + name: tensor for name, tensor in stored.items()}
    held = {name: in_memory(tensor) for name, tensor in stored.items()}
    back = restore(invert(target.rules(description, plan.task)), held, description.layers)
    assert not back.problems
    assert not back.untouched
    assert [name.split(".")[-2] for name in back.spent] == ["token_type_embeddings"]
    tensors = back.tensors
    if description.layers_kept is not None:
        kept = description.layers_kept
        pattern = re.escape(ENCODER) + r"layers\.(\d+)\."
        tensors = {
            re.sub(pattern, lambda matched: f"{ENCODER}layers.{kept[int(matched[1])]}.", key): tensor
            for key, tensor in tensors.items()
        }
    absent = [*back.absent, *invert(EVERYWHERE.rules)]
    for layout in reversed(prepared.canonical.layouts):
        undone = restore(invert(layout.rules), tensors)
        assert not undone.problems
        tensors = undone.untouched | undone.tensors
        absent += undone.absent
    for item in prepared.plan.dropped:  # what does not come back is what a rule says does not
        if item.source not in tensors and description.layers_kept is None:
            assert any(item.reason == rule.reason for rule in absent)
    return tensors


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.title)
def test_round_trip_gives_the_original_bytes(case: Case, tmp_path: Path) -> None:
    convert(case.checkpoint, tmp_path / "out", **case.options)
    prepared = prepare(open_checkpoint(case.checkpoint), SourceOptions(**case.options))
    back = turned_round(load_file(tmp_path / "out" / "model.safetensors"), prepared)
    one_way = {source for row in prepared.plan.rows if row.operation.kind in ONE_WAY for source in row.sources}
    dropped = {item.source for item in prepared.plan.dropped}
    wanted = (prepared.tensors.keys() - dropped) | (dropped & back.keys())
    if prepared.description.scaled_embedding and prepared.description.lm_head:
        one_way.clear()  # the LM head's matrix is the embedding as it was
        back[ENCODER + "embed_tokens.weight"] = back["encoder.lm_head.weight"]
    checked = 0
    for key in wanted - one_way:
        original = prepared.tensors[key].read()
        assert back[key].dtype == prepared.tensors[key].dtype
        assert torch.equal(bits(back[key].read()), bits(original)), key
        checked += 1
    assert checked >= len(wanted) - 3
    assert checked > 20


def bits(tensor: Tensor) -> Tensor:
    """The bytes, so that -0.0 is not 0.0."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)
