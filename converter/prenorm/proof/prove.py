"""The proof of a conversion: reference against the staging folder's files, and the audit of the tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.mapping.plan import ConversionPlan
from prenorm.options import TaskKind
from prenorm.proof.checks.audit import audit
from prenorm.proof.checks.numbers import comparison_checks, tensors_check
from prenorm.proof.comparison import Comparison
from prenorm.proof.computation import Computation
from prenorm.proof.hints import diagnose
from prenorm.proof.protocols import ReferenceModel
from prenorm.proof.runtimes import BUNDLED, open_runtime
from prenorm.reports.model import Check, ParityReport


def prove(
    plan: ConversionPlan,
    tensors: Mapping[str, SourceTensor],
    folder: Path,
    *,
    reference: ReferenceModel,
    source: Mapping[str, object],
    target: Mapping[str, object],
    more_checks: tuple[Check, ...] = (),
    tick: Callable[[int], None] = lambda steps: None,
) -> ParityReport:
    """Compares what the checkpoint computes with what the folder computes.

    Args:
        tensors: the source tensors under the checkpoint's own names.
        folder: the staging folder; the bundled model is loaded from its files.
        reference: what computes as fairseq does.
        source, target: what the report says of the two sides.
        more_checks: checks made elsewhere, to stand in the same report.
        tick: called with 1 for every stage that was compared.

    Raises:
        ValueError: if the folder's files do not fit the model, or the model's stages are not the reference's.
    """
    runtime = open_runtime(BUNDLED, folder, plan.target, plan.task.kind)
    found = Comparison(Computation.of(plan), reference, runtime, tick).run()
    with torch.inference_mode():
        audited = audit(
            folder, plan.rows, plan.dropped, tensors, reference.used & tensors.keys(), tied=is_tied_masked_lm(plan)
        )
    return ParityReport(
        reference.name,
        "float64",
        source,
        target,
        (*comparison_checks(found), tensors_check(audited), *more_checks),
        found.modules,
        audited,
        runtimes=(runtime.name,),
        positions=found.positions,
        divergence=diagnose(found, plan, tensors),
        noise=reference.floor(),
    )


def is_tied_masked_lm(plan: ConversionPlan) -> bool:
    """Whether the LM head's matrix is left out of the folder for being the embedding."""
    return plan.task.kind is TaskKind.MASKED_LM and plan.description.shares_embedding


def stage_count(plan: ConversionPlan) -> int:
    """How often `prove` ticks."""
    return 2 * (plan.description.layers + 3 + (plan.task.head is not None))


def operation_count(plan: ConversionPlan, tensors: Mapping[str, SourceTensor]) -> float:
    """About how many floating-point operations the comparison takes: two for each weight and token, on both sides."""
    tokens = sum(batch.numel() for batch in Computation.of(plan).batches)
    return 4.0 * tokens * sum(math.prod(tensor.shape) for tensor in tensors.values())
