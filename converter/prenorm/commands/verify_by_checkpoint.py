"""A folder against its checkpoint: config, tokenizer, weights and numbers; everything that disagrees is listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.commands.assemble import source_digests, source_facts
from prenorm.errors import PrenormError
from prenorm.folder.digests import Digests
from prenorm.folder.published import Published
from prenorm.mapping.understood import Prepared
from prenorm.options import AUTO, SourceOptions, TaskKind, VerifyOptions
from prenorm.proof.checks.audit import Audit, audit
from prenorm.proof.checks.config import ExpectedConfig, check_config
from prenorm.proof.checks.numbers import comparison_checks, tensors_check
from prenorm.proof.checks.tokenizer import check_tokenizer
from prenorm.proof.checks.weights import ExpectedWeights, expected_weights
from prenorm.proof.comparison import Comparison
from prenorm.proof.computation import Computation
from prenorm.proof.hints import diagnose
from prenorm.proof.numbers.differences import ModuleDifferences
from prenorm.proof.protocols import ReferenceModel
from prenorm.proof.prove import is_tied_masked_lm, operation_count, stage_count
from prenorm.proof.references import open_reference
from prenorm.proof.references.builtin import BuiltinReference
from prenorm.proof.references.settings import settings_of
from prenorm.proof.runtimes import BUNDLED, CHOICES, open_runtime
from prenorm.reports.model import Check, ParityReport
from prenorm.rules.derived import cast


@dataclass
class Found:
    """What verification gathers."""

    disagreements: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    def check(self, name: str, said: list[str]) -> None:
        """A check that consists of sentences."""
        self.checks.append(Check(name, not said, {"disagreements": len(said)}))
        self.disagreements += said

    def fail_numbers(self, suffix: str, error: Exception) -> None:
        """A folder that does not load, or computes other stages: one more disagreement."""
        reason = str(error).strip().split("\n")[0]
        self.checks.append(Check("logits" + suffix, False, {"disagreements": 1}))
        self.disagreements.append(f"numbers{suffix}: the folder cannot be computed: {reason}")

    def take(self, checks: tuple[Check, ...]) -> None:
        """The checks of a comparison, and a sentence for each that failed."""
        self.checks += checks
        for check in checks:
            if not check.passed:
                apart, allowed = check.metrics["max_abs_diff"], check.tolerance
                self.disagreements.append(
                    f"numbers: {check.name} differ by {apart:.1e}, and rounding explains {allowed:.1e}"
                )


def judge_published(
    prepared: Callable[[SourceOptions, int | None], Prepared],
    published: Published,
    options: VerifyOptions,
    digests: Digests,
) -> ParityReport:
    """Return the report on a folder.

    Args:
        prepared: understands the checkpoint with these options, for a folder with so many rows of the vocabulary.
        digests: at work on the checkpoint already.
    """
    if options.task == AUTO:
        options = replace(options, task=published.kind.value)
    return _judge(prepared(options, _rows(published)), published, options, digests)


def _rows(published: Published) -> int | None:
    """The rows of the folder's word embedding."""
    return next(
        (item.shape[0] for name, item in published.tensors.items() if name.endswith(_TABLE) and item.shape), None
    )


_TABLE = "word_embeddings.weight"


def _judge(
    prepared: Prepared,
    published: Published,
    options: VerifyOptions,
    digests: Digests,
) -> ParityReport:
    progress, compute = options.listener, options.compute
    plan, found = prepared.plan, Found()
    counts = Counter(item.dtype for item in published.tensors.values())
    found.check("config", list(check_config(published.config, ExpectedConfig.of(plan), counts)))
    if prepared.tokenization is not None:
        check, said = check_tokenizer(published.path, prepared.tokenization, plan.description.longest_input)
        found.checks.append(check)
        found.disagreements += said
    expected = expected_weights(plan, published.tensors)
    found.disagreements += [*published.damage, *expected.problems]
    tensors = _in_stored_type(prepared.tensors, expected.dtype, plan.description.dtype)
    digests.check(prepared.tensors.values())
    names = CHOICES[options.runtime]
    progress.stage("Proving", stage_count(plan) * len(names))
    with open_reference(prepared, tensors, options, compute) as reference:
        tick = digests.beside(progress.advance, stage_count(plan), operation_count(plan, prepared.tensors))
        for name in names:
            _compare(found, Computation.of(plan, expected.dtype), published, name, compute, reference, tick)
        audited = _audit(prepared, published, expected, reference)
        sources, _ = digests.result()
    found.checks.append(tensors_check(audited))
    found.disagreements += _said_of_tensors(audited)
    report = _report(found, prepared, published, audited, tensors, reference, compute)
    return replace(report, source={**source_facts(prepared), **source_digests(prepared, sources)})


def _compare(
    found: Found,
    computation: Computation,
    published: Published,
    name: str,
    compute: str,
    reference: ReferenceModel,
    tick: Callable[[int], None],
) -> None:
    """One runtime's numbers. A folder that does not load, or computes other stages, is one more disagreement."""
    suffix = "" if name == BUNDLED else f" ({name})"
    try:
        runtime = open_runtime(name, published.path, computation.target, computation.kind, compute)
        comparison = Comparison(computation, reference, runtime, tick).run()
    except PrenormError:
        raise
    except (ValueError, RuntimeError, IndexError, OSError, KeyError) as error:
        found.fail_numbers(suffix, error)
        return
    found.comparisons.append(comparison)
    found.take(comparison_checks(comparison, suffix))


def _in_stored_type(tensors: Mapping[str, SourceTensor], stored: str, own: str) -> Mapping[str, SourceTensor]:
    """The source tensors rounded to the folder's type, so that what is left of a difference is the mapping's."""
    if stored == own or stored not in ("float32", "float16", "bfloat16"):
        return tensors
    return {name: cast(tensor, stored) for name, tensor in tensors.items()}


def _audit(prepared: Prepared, published: Published, expected: ExpectedWeights, reference: ReferenceModel) -> Audit:
    used = reference.used & prepared.tensors.keys()
    with torch.inference_mode():
        return audit(
            published.path, expected.rows, prepared.plan.dropped, prepared.tensors, used,
            tied=is_tied_masked_lm(prepared.plan), allowed=expected.allowed,
        )  # fmt: skip


def _said_of_tensors(audited: Audit) -> list[str]:
    unequal = [row for row in audited.rows if row.equal is False]
    return [
        *(f"weights: {text}" for text in audited.problems),
        *(
            f"weights: '{row.target}' is not bit for bit what '{row.source}' makes ({row.operation})"
            if row.target
            else f"weights: '{row.source}' is not the matrix that it was left out for"
            for row in unequal
        ),
    ]


def _report(
    found: Found,
    prepared: Prepared,
    published: Published,
    audited: Audit,
    tensors: Mapping[str, SourceTensor],
    reference: ReferenceModel,
    compute: str,
) -> ParityReport:
    plan = prepared.plan
    worst = next((item for item in found.comparisons if item.divergence), None)
    shown = worst or (found.comparisons[0] if found.comparisons else None)
    return ParityReport(
        reference.name,
        compute,
        source_facts(prepared),
        {
            "folder": published.name,
            "model_type": published.config.get("model_type"),
            "architectures": published.config.get("architectures"),
            "task": plan.task.kind.value,
            "notes": list(published.notes),
        },
        tuple(found.checks),
        shown.modules if shown else ModuleDifferences(),
        audited,
        runtimes=tuple(item.runtime.name for item in found.comparisons),
        positions=shown.positions if shown else None,
        divergence=diagnose(worst, plan, tensors) if worst else None,
        disagreements=tuple(found.disagreements),
        noise=reference.floor(),
        cost_of_type=_cost_of_type(prepared, published, tensors),
    )


def _cost_of_type(
    prepared: Prepared, published: Published, tensors: Mapping[str, SourceTensor]
) -> dict[str, float | int | str] | None:
    """What rounding to the folder's type costs: the checkpoint's own numbers against the folder's, not judged."""
    plan = prepared.plan
    if tensors is prepared.tensors or plan.task.kind is TaskKind.ENCODER:
        return None
    exact = BuiltinReference(prepared.tensors, settings_of(plan.description))
    try:
        runtime = open_runtime(BUNDLED, published.path, plan.target, plan.task.kind)
        stored = next(iter(tensors.values())).dtype
        comparison = Comparison(Computation.of(plan, stored), exact, runtime).run()
    except (ValueError, RuntimeError, IndexError, OSError, KeyError):
        return None  # said already, by the comparison that is judged
    return {"dtype": stored, **comparison.logits.metrics()}
