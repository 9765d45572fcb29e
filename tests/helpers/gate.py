"""The check that one-off conversion scripts make, for comparison: one sentence, float32, and 1e-3 in every logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import prenorm.commands.verify  # noqa: F401  until importing proof alone works
import prenorm_model
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions, TaskKind
from prenorm.parts import open_checkpoint
from prenorm.proof.references.builtin import BuiltinReference
from prenorm.proof.references.settings import settings_of

SENTENCE = torch.tensor([[0, 9, 17, 23, 6, 31, 12, 2]])


def passes(prepared: Prepared, folder: Path) -> bool:
    """Whether the folder's outputs for the sentence are the checkpoint's within 1e-3; one that fails to load does not."""
    kind = prepared.plan.task.kind
    try:
        loaded: Any = getattr(prenorm_model, prepared.plan.target.bundled_classes[kind]).from_pretrained(
            folder, dtype=torch.float32
        )
        with torch.inference_mode():
            ids = SENTENCE[None] if kind is TaskKind.MULTIPLE_CHOICE else SENTENCE
            found = loaded(ids, attention_mask=torch.ones_like(ids)).logits
    except (ValueError, RuntimeError):
        return False
    expected = _reference(prepared)
    if found.dim() == 3:
        rows = min(found.shape[-1], expected.shape[-1])
        found, expected = found[0, :, :rows], expected[:, :rows]
    return bool(torch.allclose(found.double().reshape(expected.shape), expected, atol=1e-3, rtol=0))


def _reference(prepared: Prepared) -> torch.Tensor:
    reference = BuiltinReference(prepared.tensors, settings_of(prepared.description))
    with torch.inference_mode():
        features = dict(reference.stages(SENTENCE))["layer_norm"]["out"]
        if prepared.plan.task.head is None:
            return reference.logits(features[0])
        return reference.classify(features[:, 0], prepared.plan.task.head.name)["out"]


def prepared_for(checkpoint: Path, kind: str) -> Prepared:
    """The checkpoint, understood as a folder of that kind has it."""
    return prepare(open_checkpoint(checkpoint), SourceOptions(task=kind))
