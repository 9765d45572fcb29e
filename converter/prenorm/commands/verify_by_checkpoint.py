"""A folder against its checkpoint: config, tokenizer, weights and numbers; everything that disagrees is listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from msgspec import structs

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.commands.assemble import source_digests, source_facts
from prenorm.errors import PrenormError
from prenorm.folder.digests import Digests
from prenorm.folder.published import Published
from prenorm.mapping.understood import Prepared
from prenorm.options import AUTO, SourceOptions, TaskKind, VerifyOptions
from prenorm.proof.checks.audit import audit
from prenorm.proof.checks.config import ExpectedConfig, check_config
from prenorm.proof.checks.numbers import comparison_checks, tensors_check
from prenorm.proof.checks.tokenizer import check_tokenizer
from prenorm.proof.checks.weights import ExpectedWeights, expected_weights
from prenorm.proof.comparison import Comparison, Runtime, Subject, reference_arguments
from prenorm.proof.hints import diagnose
from prenorm.proof.prove import is_tied_masked_lm, operation_count, stage_count
from prenorm.proof.references import ChosenReference, open_reference
from prenorm.proof.references.builtin import Reference
from prenorm.proof.runtimes.bundled import BundledRuntime
from prenorm.proof.runtimes.transformers import TransformersRuntime
from prenorm.reports.model import Audit, Check, Report
from prenorm.rules.derived import cast

RUNTIMES: Mapping[str, tuple[Callable[..., Runtime], ...]] = {
    "bundled": (BundledRuntime,),
    "transformers": (TransformersRuntime,),
    "both": (BundledRuntime, TransformersRuntime),
}


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
) -> Report:
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
) -> Report:
    watch, compute = options.listener, options.compute
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
    with open_reference(prepared, tensors, options, compute) as reference:
        tick = digests.beside(watch.advance, stage_count(plan), operation_count(plan, prepared.tensors))
        for kind in RUNTIMES[options.runtime]:
            make = partial(kind, dtype=getattr(torch, compute))
            _compare(
                found,
                Subject.of(plan, expected.dtype),
                published,
                make,
                reference,
                tick,
            )
        audited = _audit(prepared, published, expected, reference)
        sources, _ = digests.result()
    found.checks.append(tensors_check(audited))
    found.disagreements += _said_of_tensors(audited)
    report = _report(found, prepared, published, audited, tensors, reference, compute)
    return structs.replace(report, source={**source_facts(prepared), **source_digests(prepared, sources)})


def _compare(
    found: Found,
    subject: Subject,
    published: Published,
    make: partial[Runtime],
    reference: ChosenReference,
    tick: Callable[[int], None],
) -> None:
    """One runtime's numbers. A folder that does not load, or computes other stages, is one more disagreement."""
    suffix = "" if make.func is BundledRuntime else " (transformers)"
    try:
        runtime = make(published.path, subject.kind)
        comparison = Comparison(subject, reference.model, runtime, reference.noise, tick).run()
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


def _audit(prepared: Prepared, published: Published, expected: ExpectedWeights, reference: ChosenReference) -> Audit:
    used = reference.used()
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
    reference: ChosenReference,
    compute: str,
) -> Report:
    plan = prepared.plan
    worst = next((item for item in found.comparisons if item.divergence), None)
    shown = worst or (found.comparisons[0] if found.comparisons else None)
    return Report.of_parity(
        reference=reference.name,
        compute_dtype=compute,
        source=source_facts(prepared),
        target={
            "folder": published.name,
            "model_type": published.config.get("model_type"),
            "architectures": published.config.get("architectures"),
            "task": plan.task.kind.value,
            "notes": list(published.notes),
        },
        checks=found.checks,
        modules=shown.modules.lines() if shown else (),
        audit=audited,
        runtimes=tuple(item.runtime.name for item in found.comparisons),
        positions=shown.positions.lines() if shown else None,
        divergence=diagnose(worst, plan, tensors) if worst else None,
        disagreements=found.disagreements,
        noise_floor=reference.floor(),
        cost_of_type=_cost_of_type(prepared, published, tensors),
    )


def _cost_of_type(
    prepared: Prepared, published: Published, tensors: Mapping[str, SourceTensor]
) -> dict[str, float | int | str] | None:
    """What rounding to the folder's type costs: the checkpoint's own numbers against the folder's, not judged."""
    plan = prepared.plan
    if tensors is prepared.tensors or plan.task.kind is TaskKind.ENCODER:
        return None
    exact = Reference(prepared.tensors, reference_arguments(plan.description))
    try:
        runtime = BundledRuntime(published.path, plan.task.kind)
        stored = next(iter(tensors.values())).dtype
        comparison = Comparison(Subject.of(plan, stored), exact, runtime).run()
    except (ValueError, RuntimeError, IndexError, OSError, KeyError):
        return None  # said already, by the comparison that is judged
    return {"dtype": stored, **comparison.logits.metrics()}
