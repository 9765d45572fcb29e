"""The proof: reference on the source and bundled model on the folder, in lockstep, and the audit of the tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from converter.checkpoint.tensors import SourceTensor
from converter.choices import TaskKind
from converter.dictionary import UNK
from converter.parity.audit import Audit, audit
from converter.parity.bundled_runtime import BundledRuntime
from converter.parity.compare import Difference, LogitDifference, ModuleDifferences
from converter.parity.probe import build_probe
from converter.parity.reference import Arguments, Reference, Stage
from converter.parity.report import Check, ParityReport
from converter.plan import EXTRA_ROW_BIAS, ConversionPlan
from converter.source.description import SourceDescription

# The name under which a module of the target stands in the report, by the reference's stage and part.
_STAGE_NAMES = {
    "embeddings": "roberta_prelayernorm.embeddings",
    "layer_norm": "roberta_prelayernorm.LayerNorm",
    "head": "classification head",
}
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
    tensors: Mapping[str, SourceTensor],
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
    reference = Reference(tensors, _arguments(description))
    found = _Found(ModuleDifferences(), LogitDifference("logits"), Difference("extra rows"))
    with torch.inference_mode():
        comparison = _Comparison(plan, reference, BundledRuntime(folder, plan.task.kind), found, tick)
        for batch in build_probe(description.vocab_size, description.positions.rows, description.pad_id):
            comparison.add(batch)
        tied = plan.task.kind is TaskKind.MASKED_LM and description.shares_embedding
        audited = audit(folder, plan.rows, plan.dropped, tensors, reference.used, tied=tied)
    checks = [_modules_check(found.modules), _tensors_check(audited)]
    if plan.task.kind is not TaskKind.ENCODER:
        checks.insert(0, _check(found.logits))
    if plan.extra_rows and plan.task.kind is TaskKind.MASKED_LM:
        # Judged on the scale of the logits: the rows' own scale is that of the bias, which would hide differences.
        found.extra.scale = found.logits.scale
        checks.append(_check(found.extra))
    return ParityReport("builtin", "float64", source, target, (*checks, *more_checks), found.modules, audited)


def stage_count(plan: ConversionPlan) -> int:
    """How often `prove` ticks."""
    return 2 * (plan.description.layers + 3 + (plan.task.head is not None))


def _arguments(description: SourceDescription) -> Arguments:
    return Arguments(
        attention_heads=description.attention_heads,
        activation=description.activation,
        head_activation=description.head_activation,
        pad=description.pad_id,
        positions=description.positions.kind,
        position_rows=description.positions.rows,
        scaled=description.scaled_embedding,
        layers=description.layers_kept,
    )


@dataclass
class _Comparison:
    """Both sides, and what is found of them batch by batch."""

    plan: ConversionPlan
    reference: Reference
    runtime: BundledRuntime
    found: _Found
    tick: Callable[[int], None]

    def add(self, batch: Tensor) -> None:
        """Runs both sides on one batch; the reference advances one stage whenever the model has computed it."""
        # fairseq blanks the pads, Hugging Face does not: what comes out there means nothing
        real = batch != self.plan.description.pad_id
        stages = self._stages(batch)
        outputs: dict[str, Tensor] = {}

        def on_stage(stage: Stage) -> None:
            name, actual = stage
            reference_name, expected = next(stages, ("nothing more", {}))
            if reference_name != name or expected.keys() - {"logits"} != actual.keys():
                raise ValueError(f"the model computes {name} where the reference computes {reference_name}")
            for part, value in actual.items():
                self._compare_module(name, part, expected[part], value, real)
            outputs.update(expected)
            self.tick(1)

        actual = self.runtime.run(batch, real.long(), on_stage)
        left_out = next(stages, None)
        if left_out is not None:
            raise ValueError(f"the model never computes {left_out[0]}")
        if self.plan.task.kind is TaskKind.MASKED_LM:
            self._compare_vocabulary(outputs["out"][real], actual[real])
        elif self.plan.task.head is not None:
            self.found.logits.add(outputs["logits"], actual)
        self.tick(1)

    def _stages(self, batch: Tensor) -> Iterator[Stage]:
        """The reference's stages, with the classification head's behind them."""
        features: Tensor | None = None
        for name, parts in self.reference.stages(batch):
            features = parts["out"]
            yield name, parts
        if self.plan.task.head is not None and features is not None:
            head = self.reference.classify(features[:, 0], self.plan.task.head.name)
            yield "head", {"out": head["dense"], "logits": head["out"]}

    def _compare_module(self, stage: str, part: str, expected: Tensor, actual: Tensor, real: Tensor) -> None:
        at = _STAGE_NAMES.get(stage) or "roberta_prelayernorm.encoder.layer." + stage.removeprefix("layers.")
        if stage != "head":
            expected, actual = expected[real], actual[real]
        self.found.modules.add(at + _PART_NAMES[part], expected, actual)

    def _compare_vocabulary(self, features: Tensor, actual: Tensor) -> None:
        """The masked LM's logits, [tokens, vocab], and those of the rows behind the dictionary's."""
        expected = self.reference.logits(features)
        rows = expected.shape[1]
        self.found.logits.add(expected, actual[:, :rows])
        if self.plan.extra_rows:
            bias = float(torch.tensor(EXTRA_ROW_BIAS, dtype=getattr(torch, self.plan.description.dtype)))
            extra = self.reference.extra_row_logits(expected, UNK, bias)
            self.found.extra.add(extra.expand(-1, self.plan.extra_rows), actual[:, rows:])


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
