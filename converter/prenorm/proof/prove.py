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
from prenorm.proof.comparison import Comparison, Subject
from prenorm.proof.hints import diagnose
from prenorm.proof.references import ChosenReference
from prenorm.proof.runtimes.bundled import BundledRuntime
from prenorm.reports.model import Check, Report


def prove(
    plan: ConversionPlan,
    tensors: Mapping[str, SourceTensor],
    folder: Path,
    *,
    reference: ChosenReference,
    source: Mapping[str, object],
    target: Mapping[str, object],
    more_checks: tuple[Check, ...] = (),
    tick: Callable[[int], None] = lambda steps: None,
) -> Report:
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
    runtime = BundledRuntime(folder, plan.task.kind)
    found = Comparison(Subject.of(plan), reference.model, runtime, reference.noise, tick).run()
    with torch.inference_mode():
        audited = audit(folder, plan.rows, plan.dropped, tensors, reference.used(), tied=is_tied_masked_lm(plan))
    return Report.of_parity(
        reference=reference.name,
        compute_dtype="float64",
        source=source,
        target=target,
        checks=(*comparison_checks(found), tensors_check(audited), *more_checks),
        modules=found.modules.lines(),
        audit=audited,
        runtimes=(runtime.name,),
        positions=found.positions.lines(),
        divergence=diagnose(found, plan, tensors),
        noise_floor=reference.floor(),
    )


def is_tied_masked_lm(plan: ConversionPlan) -> bool:
    """Whether the LM head's matrix is left out of the folder for being the embedding."""
    return plan.task.kind is TaskKind.MASKED_LM and plan.description.shares_embedding


def stage_count(plan: ConversionPlan) -> int:
    """How often `prove` ticks."""
    return 2 * (plan.description.layers + 3 + (plan.task.head is not None))


def operation_count(plan: ConversionPlan, tensors: Mapping[str, SourceTensor]) -> float:
    """About how many floating-point operations the comparison takes: two for each weight and token, on both sides."""
    tokens = sum(batch.numel() for batch in Subject.of(plan).batches)
    return 4.0 * tokens * sum(math.prod(tensor.shape) for tensor in tensors.values())
