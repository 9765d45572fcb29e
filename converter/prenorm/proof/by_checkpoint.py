"""A folder judged by its checkpoint."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from msgspec import structs

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.files import CONFIG_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, json_object
from prenorm.folder.card.names import PublicNames
from prenorm.folder.digests import Digests
from prenorm.folder.published import Published
from prenorm.mapping.understood import Prepared
from prenorm.options import ProofOptions, TaskKind
from prenorm.progress import Progress
from prenorm.proof.checks.audit import audit
from prenorm.proof.checks.config import ExpectedConfig, check_config
from prenorm.proof.checks.folder_tokenizer import FolderTokenizer
from prenorm.proof.checks.weights import PlannedWeights, expected_weights
from prenorm.proof.comparison import Comparison
from prenorm.proof.computation import Computation
from prenorm.proof.examples import fill_mask
from prenorm.proof.hints import diagnose
from prenorm.proof.hints.tensors import different_tensors
from prenorm.proof.protocols import JudgingReference, ReferenceModel, Runtime
from prenorm.proof.prove import UNCOMPUTABLE, Findings, JudgedFolder, prove
from prenorm.proof.references import open_reference
from prenorm.proof.references.builtin import BuiltinReference, ReferenceSettings
from prenorm.proof.references.settings import is_rounded, settings_of, tensors_as_stored
from prenorm.proof.runtimes import BUNDLED, open_runtime
from prenorm.reports.details import Diagnosis, Example, TensorDifference
from prenorm.reports.model import Audit, Check, Report
from prenorm.tokenization import count_wrong_ids, tokenizer_config

# The two forms of GELU that a checkpoint of DeepSpeed's kernels may have been trained with.
_FORMS = {"gelu": "gelu_new", "gelu_new": "gelu"}


@dataclass(frozen=True)
class CheckpointBasis:
    """A checkpoint, what computes it, and what a folder must hold.

    Attributes:
        prepared: the checkpoint and its plan.
        reference: what computes as fairseq does.
        expected: the tensors that the folder must hold.
        tokenizer: what its tokenizer is judged by; None: by what the options name, if they name one.
        is_exhaustive: whether both sides compute the whole probe from end to end.
    """

    prepared: Prepared
    reference: ReferenceModel
    expected: PlannedWeights
    tokenizer: FolderTokenizer | None = None
    is_exhaustive: bool = False

    @cached_property
    def computation(self) -> Computation:
        """What is computed on both sides, on the usual probe."""
        stagewise = isinstance(self.reference, JudgingReference)
        return Computation.of(
            self.prepared.plan, self.expected.dtype, stagewise=stagewise, exhaustive=self.is_exhaustive
        )

    @property
    def source(self) -> Mapping[str, object]:
        """What the report says of the checkpoint: names, sizes and types, but no paths."""
        description = self.prepared.description
        return {
            "file": self.prepared.checkpoint.file.name,
            **({"hub": dict(self.prepared.checkpoint.origin)} if self.prepared.checkpoint.origin else {}),
            "bytes": self.prepared.checkpoint.file.size,
            "container": description.container,
            "layout": description.layout,
            "producer": description.producer.value,
            "dtype": description.dtype,
        }

    @cached_property
    def tensors(self) -> Mapping[str, SourceTensor]:
        """The source tensors in the type that the folder stores."""
        return tensors_as_stored(self.prepared, self.expected.dtype)

    @property
    def operation_count(self) -> float:
        """About how many floating-point operations a comparison takes."""
        weights = sum(math.prod(tensor.shape) for tensor in self.prepared.tensors.values())
        return self.computation.operations_per_weight * weights

    def check_files(self, published: Published, findings: Findings) -> None:
        """Check config, tokenizer, and the files and shapes of the weights.

        Args:
            published: anybody's folder.
            findings: takes in what is found.
        """
        plan = self.prepared.plan
        findings.add(*check_config(published, ExpectedConfig.of(plan)))
        tokenizer = self.tokenizer or FolderTokenizer(self.prepared.tokenization)
        if (judged := tokenizer.check(published.path, plan.description.longest_input)) is not None:
            findings.add(*judged)
        findings.disagreements += [*published.damage, *self.expected.problems]

    def check_written(self, path: Path) -> list[Check]:
        """Check that config and tokenizer are on the disk as planned, and that every token has its row of the dictionary.

        Args:
            path: the staging folder.

        Returns:
            The check of the tokenizer, if there is one; a failed one of the config, if it is not what was planned.
        """
        plan, tokenization = self.prepared.plan, self.prepared.tokenization
        config = [] if _holds(path / CONFIG_FILE, plan.config) else [Check("config", False, {"disagreements": 1})]
        if tokenization is None:
            return config
        settings = tokenizer_config(tokenization, plan.description.longest_input)
        expected: object = json.loads(tokenization.build().to_str())
        if not (_holds(path / TOKENIZER_FILE, expected) and _holds(path / TOKENIZER_CONFIG_FILE, settings)):
            tokens = len(tokenization.fairseq_rows)
            return [*config, Check("tokenizer ids", False, {"tokens": tokens, "wrong": 0, "disagreements": 1})]
        tokens, wrong = count_wrong_ids(path / TOKENIZER_FILE, tokenization)
        return [*config, Check("tokenizer ids", wrong == 0, {"tokens": tokens, "wrong": wrong})]

    def audit(self, folder: JudgedFolder) -> tuple[Audit, list[str]]:
        """Account for every source tensor and every target tensor, and compare them bit by bit.

        Args:
            folder: the folder.

        Returns:
            The rows, and a sentence for everything that is wrong.
        """
        prepared, expected = self.prepared, self.expected
        used = self.reference.used & prepared.tensors.keys()
        audited = audit(
            folder.path, expected.rows, prepared.plan.dropped, prepared.tensors, used,
            tied=expected.tied, allowed=expected.allowed,
        )  # fmt: skip
        unequal = [
            f"weights: '{row.target}' is not bit for bit what '{row.source}' makes ({row.operation})"
            if row.target
            else f"weights: '{row.source}' is not the matrix that it was left out for"
            for row in audited.rows
            if row.equal is False
        ]
        return audited, [*(f"weights: {text}" for text in audited.problems), *unequal]

    def different_tensors(self, folder: JudgedFolder, audited: Audit) -> tuple[TensorDifference, ...]:
        """Describe the tensors that the audit found different.

        Args:
            folder: the folder.
            audited: every tensor's fate.

        Returns:
            The tensors in computing order, with what they are nearest to where that is known.
        """
        return different_tensors(folder.path, self.expected.rows, audited.rows, self.prepared.plan)

    def diagnose(self, comparison: Comparison, tensors: Sequence[TensorDifference]) -> Diagnosis | None:
        """Describe the first divergence of a comparison.

        Args:
            comparison: one that has a divergence.
            tensors: those that differ.

        Returns:
            Where it is, which rule made the tensor that differs, and which known mistake gives the folder's numbers.
        """
        return diagnose(comparison, self.prepared.plan, self.tensors, tensors)

    def cost_of_type(self, folder: JudgedFolder) -> dict[str, float | int | str] | None:
        """Compare the checkpoint's own numbers with those of a folder that stores it rounded.

        Args:
            folder: the folder.

        Returns:
            The metrics of the logits, which are not judged; None if nothing was rounded, or there are no logits.
        """
        plan, stored = self.prepared.plan, self.expected.dtype
        if not is_rounded(self.prepared, stored) or plan.task.kind is TaskKind.ENCODER:
            return None
        metrics = self._logits_apart(folder, self.prepared.tensors, settings_of(plan.description))
        return None if metrics is None else {"dtype": stored, **metrics}

    def other_activation(self, folder: JudgedFolder) -> dict[str, float | int | str] | None:
        """Measure how far the logits are from those with the other form of GELU: DeepSpeed's kernels computed one of them.

        Args:
            folder: the folder, which computes what the reference does.

        Returns:
            Both names, and the metrics of the logits, which are not judged; None for any other model.
        """
        plan = self.prepared.plan
        activation = plan.description.activation
        if not plan.description.deepspeed_kernels or activation not in _FORMS or plan.task.kind is TaskKind.ENCODER:
            return None
        settings = replace(settings_of(plan.description), activation=_FORMS[activation])
        metrics = self._logits_apart(folder, self.tensors, settings)
        if metrics is None:
            return None
        return {"activation": activation, "other": _FORMS[activation], **metrics}

    def _logits_apart(
        self, folder: JudgedFolder, tensors: Mapping[str, SourceTensor], settings: ReferenceSettings
    ) -> dict[str, float | int] | None:
        """Return how far a folder's logits are from those of a reference; None where the folder cannot be computed."""
        plan = self.prepared.plan
        try:
            runtime = open_runtime(BUNDLED, folder.path, plan.target, plan.task.kind)
            return Comparison(self.computation, BuiltinReference(tensors, settings), runtime).run().logits.metrics()
        except UNCOMPUTABLE:
            return None  # said already, by the comparison that is judged

    def examples(self, folder: JudgedFolder, runtime: Runtime) -> list[Example]:
        """Let the folder fill in a sentence.

        Args:
            folder: the folder.
            runtime: what computes it, and was compared.

        Returns:
            What it fills in; empty unless it is a masked LM with a tokenizer.
        """
        plan = self.prepared.plan
        if plan.task.kind is not TaskKind.MASKED_LM or self.prepared.tokenization is None:
            return []
        with torch.inference_mode():
            example = fill_mask(folder.path, runtime, plan.description.vocab_size, plan.description.longest_input)
        return [] if example is None else [example]


def _holds(path: Path, expected: object) -> bool:
    """Return whether a file that was just written is the JSON of a value."""
    return bool(json_object(path, most=sys.maxsize) == json.loads(json.dumps(expected)))


@contextmanager
def open_basis(
    prepared: Prepared,
    published: Published | None,
    options: ProofOptions,
    compute: str = "float64",
    tokenizer: FolderTokenizer | None = None,
) -> Iterator[CheckpointBasis]:
    """Open a checkpoint's reference for a folder.

    Args:
        prepared: the checkpoint and its plan.
        published: anybody's folder; None for one that was written from the plan.
        options: which reference, and on how much it computes from end to end.
        compute: what the folder computes in.
        tokenizer: what its tokenizer is judged by; None: by what the options name.

    Yields:
        What the folder is judged by.

    Raises:
        UsageProblem: if the reference cannot be had.
    """
    plan = prepared.plan
    expected = expected_weights(plan, {} if published is None else published.tensors)
    with open_reference(prepared, expected.dtype, options, compute) as reference:
        yield CheckpointBasis(prepared, reference, expected, tokenizer, options.exhaustive)


def prove_by_checkpoint(
    prepared: Prepared,
    folder: JudgedFolder,
    options: ProofOptions,
    digests: Digests,
    runtimes: Sequence[str] = (BUNDLED,),
    *,
    compute: str = "float64",
    progress: Progress,
    tokenizer: FolderTokenizer | None = None,
) -> tuple[Report, dict[str, str]]:
    """Judge a folder by its checkpoint, while the checksums of both are computed.

    Args:
        prepared: the checkpoint and its plan.
        folder: what is judged.
        options: which reference, and on how much it computes from end to end.
        digests: at work on the checkpoint already; of a staging folder it hashes the files, too.
        runtimes: what computes the folder, by name.
        compute: what it computes in.
        progress: receives every stage that was compared.
        tokenizer: what the folder's tokenizer is judged by; None: by what the options name.

    Returns:
        The report with the checkpoint's checksums, without the names that no folder tells; and the checksums of a staging
        folder's files by name.

    Raises:
        UnreadableCheckpoint: if the checkpoint's bytes turn out to be damaged.
        UsageProblem: if the reference cannot be had.
        ValueError: if a staging folder's files do not fit the model.
    """
    with open_basis(prepared, folder.published, options, compute, tokenizer) as basis:
        progress.stage("Proving", basis.computation.stage_count * len(runtimes))
        digests.check(prepared.tensors.values())
        if folder.published is None:
            digests.hash_folder(folder.path)
        tick = digests.share_cores(progress.advance, basis.computation.stage_count, basis.operation_count)
        report = prove(folder, basis, runtimes, compute=compute, tick=tick)
        source_sums, file_sums = digests.result()
    report = structs.replace(report, source={**report.source, **_source_digests(prepared, source_sums)})
    return PublicNames.of_keys(prepared.tensors).in_report(report), file_sums


def _source_digests(prepared: Prepared, facts: list[dict[str, object]]) -> dict[str, object]:
    """Return what a report says of the checkpoint's bytes.

    Args:
        prepared: the checkpoint.
        facts: what it says of its files' bytes, in their order.

    Returns:
        What it says of the first file; of a checkpoint in several files also `parts` with all of them.
    """
    files = zip(prepared.checkpoint.files, facts, strict=True)
    parts = [{"name": file.name, "bytes": file.size, **item} for file, item in files]
    return {**facts[0], **({"parts": parts} if len(parts) > 1 else {})}
