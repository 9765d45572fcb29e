"""Target to source: the rules turned round give every tensor of the checkpoint back, bit by bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from helpers.variant_cases import CASES
from helpers.variants import Case
from prenorm import convert
from prenorm.mapping.targets import target_for
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.rules.rules import Join, Rename, expand, invert, match
from prenorm.source.layouts import ENCODER

EXACT = [case for case in CASES if case.refusal is None]
# What is computed has no way back; these operations' sources are excused, and nothing else.
ONE_WAY = ("divided by its spectral norm", "times sqrt", "constant", "sinusoids")


def turned_round(stored: dict[str, Tensor], prepared: Prepared) -> dict[str, Tensor]:
    """The folder's tensors under the checkpoint's own names, by the inverted rules alone."""
    description, plan = prepared.description, prepared.plan
    target = target_for(description)
    if plan.task.kind.value == "encoder":
        stored = {target.PREFIX + name: tensor for name, tensor in stored.items()}
    tensors = undo(invert(target.rules(description, plan.task)), stored, description.layers)
    if description.layers_kept is not None:
        kept = description.layers_kept
        pattern = re.escape(ENCODER) + r"layers\.(\d+)\."
        tensors = {
            re.sub(pattern, lambda found: f"{ENCODER}layers.{kept[int(found[1])]}.", key): tensor
            for key, tensor in tensors.items()
        }
    layers = 1 + max(int(found[1]) for key in tensors if (found := re.search(r"layers\.(\d+)\.", key)))
    for layout in reversed(prepared.canonical.layouts):
        tensors = undo(invert(layout.rules), tensors, layers) | {
            key: tensor
            for key, tensor in tensors.items()
            if not any(speaks_of(rule, key) for rule in invert(layout.rules))
        }
    return tensors


def undo(rules: list[Rename | Join], tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    found = {}
    for rule in rules:
        if isinstance(rule, Join):
            for fields in expand(rule.target, layers):
                parts = [source.format(**fields) for source in rule.sources]
                if all(part in tensors for part in parts):
                    found[rule.target.format(**fields)] = torch.cat([tensors[part] for part in parts])
            continue
        for key, tensor in tensors.items():
            fields = match(rule.source, key)
            if fields is not None:
                found[rule.targets[0].format(**fields)] = tensor
    return found


def speaks_of(rule: Rename | Join, key: str) -> bool:
    patterns = rule.sources if isinstance(rule, Join) else (rule.source,)
    return any(match(pattern, key) is not None for pattern in patterns)


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.title)
def test_round_trip_gives_the_original_bytes(case: Case, tmp_path: Path) -> None:
    convert(case.checkpoint, tmp_path / "out", **case.options)
    prepared = prepare(open_checkpoint(case.checkpoint), SourceOptions(**case.options))
    back = turned_round(load_file(tmp_path / "out" / "model.safetensors"), prepared)
    one_way = {source for row in prepared.plan.rows if row.operation.startswith(ONE_WAY) for source in row.sources}
    dropped = {item.source for item in prepared.plan.dropped}
    wanted = prepared.tensors.keys() - dropped
    if prepared.description.scaled_embedding and prepared.description.lm_head:
        one_way.clear()  # the LM head's matrix is the embedding as it was
        back[ENCODER + "embed_tokens.weight"] = back["encoder.lm_head.weight"]
    checked = 0
    for key in wanted - one_way:
        original = prepared.tensors[key].read()
        assert back[key].dtype == original.dtype
        assert torch.equal(bits(back[key]), bits(original)), key
        checked += 1
    assert checked >= len(wanted) - 3
    assert checked > 20


def bits(tensor: Tensor) -> Tensor:
    """The bytes, so that -0.0 is not 0.0."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)
