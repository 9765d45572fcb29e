"""A folder judged by a golden file: the second half of a proof, which needs neither checkpoint nor fairseq."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from prenorm.checkpoint.tensors import tensor_bytes
from prenorm.folder.published import Published, read_stored
from prenorm.proof.checks.config import check_config
from prenorm.proof.checks.folder_tokenizer import FolderTokenizer
from prenorm.proof.checks.recorded_tokenizer import tokenizer_by_recording
from prenorm.proof.comparison import Comparison
from prenorm.proof.hints.tensors import computing_order, tensor_behind, tensor_in_words
from prenorm.proof.protocols import Runtime
from prenorm.proof.prove import Findings, JudgedFolder
from prenorm.proof.references.golden import Golden, GoldenReference
from prenorm.reports.details import Diagnosis, Example, TensorDifference
from prenorm.reports.model import Audit, AuditRow, Check


class GoldenBasis:
    """What was recorded of a checkpoint.

    Attributes:
        reference: its recorded outputs.
        computation: what was computed, and must be again.
        source: what the report says of the checkpoint.
    """

    def __init__(self, golden: Golden) -> None:
        """Take a golden file's content.

        Args:
            golden: the content.
        """
        self._golden = golden
        self.reference = GoldenReference(golden)
        self.computation = golden.computation
        self.source: Mapping[str, object] = golden.facts["source"]

    def check_files(self, published: Published, findings: Findings) -> None:
        """Check the config, the tokenizer, and the state of the files.

        Args:
            published: anybody's folder.
            findings: takes in what is found.
        """
        findings.add(*check_config(published, self._golden.config))
        tokenizer = self.tokenizer_of(published).check(published.path, 0)
        if tokenizer is not None:
            findings.add(*tokenizer)
        findings.disagreements += published.damage

    def tokenizer_of(self, published: Published) -> FolderTokenizer:
        """Find out what a folder's tokenizer is judged by.

        Args:
            published: anybody's folder.

        Returns:
            What was recorded of one, else nothing.
        """
        return tokenizer_by_recording(published.path, self._golden.facts.get("tokenizer"))

    def check_written(self, path: Path) -> list[Check]:
        """Return nothing: what was just written is proven by its checkpoint.

        Args:
            path: a folder.

        Returns:
            An empty list.
        """
        return []

    def audit(self, folder: JudgedFolder) -> tuple[Audit, list[str]]:
        """Compare the folder's tensors with the recorded ones by their SHA-256.

        Args:
            folder: anybody's folder.

        Returns:
            The rows, and a sentence for everything that is wrong.
        """
        stored = {} if folder.published is None else folder.published.tensors
        recorded: Mapping[str, Mapping[str, Any]] = {item["name"]: item for item in self._golden.facts["tensors"]}
        rows = []
        for name, tensor in sorted(stored.items()):
            if name in recorded:
                expected = recorded[name]
                same = (tensor.dtype, list(tensor.shape)) == (expected["dtype"], expected["shape"])
                equal = same and _digest(tensor.file, name) == expected["sha256"]
                rows.append(AuditRow(None, name, "recorded", "", equal))
        missing, surplus = recorded.keys() - stored.keys(), stored.keys() - recorded.keys()
        problems = sorted(
            [f"target tensor '{name}' was recorded and is not in the files" for name in missing]
            + [f"target tensor '{name}' is in the files and was not recorded" for name in surplus]
        )
        unequal = [f"weights: '{row.target}' has other bytes than were recorded" for row in rows if row.equal is False]
        audited = Audit(tuple(rows), tuple(problems), len(surplus), len(missing))
        return audited, [*(f"weights: {text}" for text in problems), *unequal]

    def different_tensors(self, folder: JudgedFolder, audited: Audit) -> tuple[TensorDifference, ...]:
        """Describe the tensors that have other bytes than were recorded: by their SHA-256 they may be known as others.

        Args:
            folder: anybody's folder.
            audited: every tensor's fate.

        Returns:
            The tensors in computing order.
        """
        stored = {} if folder.published is None else folder.published.tensors
        recorded = {item["name"]: item["sha256"] for item in self._golden.facts["tensors"]}
        names = [row.target for row in audited.rows if row.equal is False and row.target is not None]
        digests = {name: _digest(stored[name].file, name) for name in names}
        different = []
        for name in sorted(names, key=computing_order):
            holders = [other for other, digest in recorded.items() if digest == digests[name]]
            swapped = [other for other in holders if digests.get(other) == recorded[name]]
            words = f"is swapped with {tensor_in_words(swapped[0], None)}" if swapped else None
            if holders and words is None:
                words = f"holds {tensor_in_words(holders[0], None)}"
            different.append(TensorDifference(name, None, "recorded", math.prod(stored[name].shape), None, None, words))
        return tuple(different)

    def diagnose(self, comparison: Comparison, tensors: Sequence[TensorDifference]) -> Diagnosis | None:
        """Say where a comparison diverges; a sketch does not say why, a tensor may.

        Args:
            comparison: one that has a divergence.
            tensors: those that differ.

        Returns:
            The module's name, and what the tensor behind it is nearest to.
        """
        first = comparison.divergence
        if first is None:
            return None
        tensor = tensor_behind(first.module, tensors)
        known = tensor is not None and tensor.nearest is not None
        return Diagnosis(first.module, None, tensor.brief if tensor is not None and known else None)

    def cost_of_type(self, folder: JudgedFolder) -> None:
        """Return None: a golden file is for one type.

        Args:
            folder: any folder.
        """

    def other_activation(self, folder: JudgedFolder) -> None:
        """Return None: a golden file records one computation.

        Args:
            folder: any folder.
        """

    def examples(self, folder: JudgedFolder, runtime: Runtime) -> list[Example]:
        """Return nothing: a golden file knows no tokenizer.

        Args:
            folder: any folder.
            runtime: what computes it.

        Returns:
            An empty list.
        """
        return []


def _digest(file: Path, name: str) -> str:
    """Return the SHA-256 of a tensor's bytes."""
    with torch.inference_mode():
        return hashlib.sha256(tensor_bytes(read_stored(file, name))).hexdigest()
