"""The content of a golden file, made of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prenorm.files import sha256_of
from prenorm.folder.files import row_pieces
from prenorm.folder.source_sums import source_facts
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.understood import Prepared
from prenorm.options import TaskKind
from prenorm.proof.checks.config import ExpectedConfig
from prenorm.proof.checks.recorded_tokenizer import tokenizer_facts
from prenorm.proof.computation import Computation
from prenorm.proof.numbers.sketch import sketch
from prenorm.proof.protocols import ReferenceModel
from prenorm.proof.references.golden import SCHEMA_VERSION, Golden
from prenorm.reports.environment import environment


def record_golden(prepared: Prepared, reference: ReferenceModel, tick: Callable[[int], None]) -> Golden:
    """Compute a checkpoint on the probe, and keep what a folder can be judged by.

    Args:
        prepared: the checkpoint and its plan.
        reference: what computes it.
        tick: called with 1 for every stage, `Computation.stage_count` times.

    Returns:
        The content of a golden file.
    """
    plan, computation = prepared.plan, Computation.of(prepared.plan)
    outputs = _outputs(reference, computation, tick)
    facts: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "source": {
            "file": prepared.checkpoint.file.name,
            "bytes": prepared.checkpoint.file.size,
            **source_facts(prepared.checkpoint, prepared.tensors.values()),
            "layout": plan.description.layout,
            "dtype": plan.description.dtype,
        },
        "reference": reference.name,
        "noise": _noise(reference, computation),
        "environment": environment(),
        "subject": {
            "batches": len(computation.batches), "pad": computation.pad, "kind": computation.kind.value,
            "head": computation.head, "dtype": computation.dtype, "layers": computation.layers,
            "vocab_size": plan.description.vocab_size,
        },
        "config": _config(plan),
        "tensors": [
            {"name": row.target, "dtype": row.dtype, "shape": list(row.shape), "sha256": sha256_of(row_pieces(row))}
            for row in plan.rows
        ],
    }  # fmt: skip
    if prepared.tokenization is not None:
        facts["tokenizer"] = tokenizer_facts(prepared.tokenization, plan.description.longest_input)
    return Golden(facts, outputs)


def _outputs(
    reference: ReferenceModel, computation: Computation, tick: Callable[[int], None]
) -> dict[str, NDArray[Any]]:
    """Return the probe and the sketches of everything that the reference computes on it."""
    arrays: dict[str, NDArray[Any]] = {}
    with torch.inference_mode():
        for number, batch in enumerate(computation.batches):
            arrays[f"probe.{number}"] = batch.numpy().astype(np.int32)
            names, features = [], torch.empty(0)
            for name, parts in reference.stages(batch):
                names.append(name)
                features = parts["out"]
                arrays[f"{number}.{name}"] = sketch(features).numpy()
                tick(1)
            arrays[f"stages.{number}"] = np.array(names)
            if computation.kind is TaskKind.MASKED_LM:
                pieces = reference.logit_pieces(features[batch != computation.pad])
                arrays[f"{number}.logits"] = sketch(torch.cat(list(pieces), dim=-1)).numpy()
            elif computation.head is not None:
                head = reference.classify(features[:, 0], computation.head)
                arrays[f"{number}.dense"] = sketch(head["dense"]).numpy()
                arrays[f"{number}.outputs"] = head["out"].numpy()
            tick(1 + (computation.head is not None))
    return arrays


def _noise(reference: ReferenceModel, computation: Computation) -> dict[str, float]:
    """Return how far outputs are from exact ones by stage and part: nothing, unless fairseq computed them."""
    places = [(stage, "out") for stage in ("embeddings", "layer_norm", "logits")]
    places += [(f"layers.{n}", "out") for n in range(computation.layers)]
    if computation.head is not None:
        places += [(f"head.{computation.head}", part) for part in ("dense", "out")]
    noise = {f"{stage}/{part}": reference.noise(stage, part) for stage, part in places}
    return {place: value for place, value in noise.items() if value}


def _config(plan: ConversionPlan) -> dict[str, object]:
    """Return what config.json must say."""
    expected = ExpectedConfig.of(plan)
    labels = None if expected.labels is None else list(expected.labels)
    return {
        "model_type": expected.target.model_type, "architecture": expected.architecture, "kind": expected.kind.value,
        "fields": dict(expected.fields), "outputs": expected.outputs, "labels": labels,
    }  # fmt: skip
