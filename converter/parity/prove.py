"""The proof: reference on the source and bundled model on the folder, in lockstep, and the audit of the tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from converter.checkpoint.tensors import LazyTensor
from converter.dictionary import PAD, UNK
from converter.parity.audit import Audit, audit
from converter.parity.bundled_runtime import BundledRuntime
from converter.parity.compare import Difference, LogitDifference, ModuleDifferences
from converter.parity.probe import build_probe
from converter.parity.reference import Reference, Stage
from converter.parity.report import Check, ParityReport
from converter.plan import EXTRA_ROW_BIAS, ConversionPlan

# The name under which a module of the target stands in the report, by the reference's stage and part.
_STAGE_NAMES = {"embeddings": "roberta_prelayernorm.embeddings", "layer_norm": "roberta_prelayernorm.LayerNorm"}
_PART_NAMES = {
    "q_proj": ".attention.self.query",
    "k_proj": ".attention.self.key",
    "v_proj": ".attention.self.value",
    "out_proj": ".attention.output.dense",
    "fc1": ".intermediate.dense",
    "fc2": ".output.dense",
    "out": "",
}


@dataclass
class _Found:
    """What the comparison gathers."""

    modules: ModuleDifferences
    logits: LogitDifference
    extra: Difference


def prove(
    plan: ConversionPlan,
    tensors: Mapping[str, LazyTensor],
    folder: Path,
    *,
    source: Mapping[str, object],
    target: Mapping[str, object],
    more_checks: tuple[Check, ...] = (),
    tick: Callable[[int], None] = lambda steps: None,
) -> ParityReport:
    """Compares what the checkpoint computes with what the folder computes.

    Args:
        tensors: the source tensors under the checkpoint's own names.
        folder: the staging folder; the bundled model is loaded from its files.
        source, target: what the report says of the two sides.
        more_checks: checks made elsewhere, to stand in the same report.
        tick: called with 1 for every stage that was compared.

    Raises:
        ValueError: if the folder's files do not fit the model, or the model's stages are not the reference's.
    """
    description = plan.description
    reference = Reference(
        tensors,
        attention_heads=description.attention_heads,
        activation=description.activation,
        head_activation=description.head_activation,
    )
    found = _Found(ModuleDifferences(), LogitDifference("logits"), Difference("extra rows"))
    with torch.inference_mode():
        runtime = BundledRuntime(folder)
        for batch in build_probe(description.vocab_size, description.positions):
            _compare_batch(reference, runtime, batch, plan.extra_rows, found, tick)
        audited = audit(folder, plan.rows, plan.dropped, tensors, reference.used)
    checks = [
        _check(found.logits),
        _modules_check(found.modules),
        _tensors_check(audited),
    ]
    if plan.extra_rows:
        # Judged on the scale of the logits: the rows' own scale is that of the bias, which would hide differences.
        found.extra.scale = found.logits.scale
        checks.append(_check(found.extra))
    return ParityReport("builtin", "float64", source, target, (*checks, *more_checks), found.modules, audited)


def stage_count(layers: int) -> int:
    """How often `prove` ticks."""
    return 2 * (layers + 3)


def _compare_batch(
    reference: Reference,
    runtime: BundledRuntime,
    batch: Tensor,
    extra_rows: int,
    found: _Found,
    tick: Callable[[int], None],
) -> None:
    """Runs both sides on one batch; the reference advances one stage whenever the model has computed it."""
    real = batch != PAD  # fairseq blanks the pads, Hugging Face does not: what comes out there means nothing
    stages: Iterator[Stage] = reference.stages(batch)
    features: list[Tensor] = []

    def on_stage(stage: Stage) -> None:
        name, actual = stage
        reference_name, expected = next(stages, ("nothing more", {}))
        if reference_name != name or expected.keys() != actual.keys():
            raise ValueError(f"the model computes {name} where the reference computes {reference_name}")
        at = _STAGE_NAMES.get(name) or "roberta_prelayernorm.encoder.layer." + name.removeprefix("layers.")
        for part, value in expected.items():
            found.modules.add(at + _PART_NAMES[part], value[real], actual[part][real])
        if name == "layer_norm":
            features.append(expected["out"][real])
        tick(1)

    logits = runtime.run(batch, real.long(), on_stage)[real]
    left_out = next(stages, None)
    if left_out is not None:
        raise ValueError(f"the model never computes {left_out[0]}")
    expected_logits = reference.logits(features[0])
    rows = expected_logits.shape[1]
    found.logits.add(expected_logits, logits[:, :rows])
    if extra_rows:
        expected_extra = reference.extra_row_logits(expected_logits, UNK, _stored(EXTRA_ROW_BIAS, reference))
        found.extra.add(expected_extra.expand(-1, extra_rows), logits[:, rows:])
    tick(1)


def _stored(value: float, reference: Reference) -> float:
    """`value` as the checkpoint's type can hold it."""
    dtype = reference.tensors["encoder.lm_head.bias"].read().dtype
    return float(torch.tensor(value, dtype=dtype))


def _check(found: Difference) -> Check:
    return Check(found.name, found.passed, found.metrics(), found.tolerance, found.judged)


def _modules_check(modules: ModuleDifferences) -> Check:
    found = list(modules.by_name.values())
    worst = max(found, key=lambda item: item.max_abs_diff / item.scale if item.scale else item.max_abs_diff)
    return Check(
        "modules",
        modules.first_divergence is None,
        {**worst.metrics(), "modules": len(found), "diverging": sum(not item.passed for item in found)},
        worst.tolerance,
        all(item.judged for item in found),
    )


def _tensors_check(audited: Audit) -> Check:
    compared = [row for row in audited.rows if row.equal is not None]
    return Check(
        "tensors",
        audited.passed,
        {
            "tensors": len(audited.rows),
            "compared_bit_by_bit": len(compared),
            "unequal": sum(row.equal is False for row in compared),
            "problems": len(audited.problems),
        },
    )
