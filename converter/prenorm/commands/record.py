"""`record`, and `verify --golden`: the proof in two halves, the second of which needs neither checkpoint nor fairseq."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from prenorm.checkpoint.tensors import tensor_bytes
from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import open_folder, open_source
from prenorm.commands.verify_by_checkpoint import RUNTIMES, Found
from prenorm.errors import PrenormError
from prenorm.folder.files import row_pieces
from prenorm.folder.published import Published
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.understood import prepare
from prenorm.options import GoldenOptions, RecordOptions
from prenorm.proof.checks.config import ExpectedConfig, check_config
from prenorm.proof.checks.numbers import comparison_checks, tensors_check
from prenorm.proof.comparison import Comparison, Runtime, Subject
from prenorm.proof.numbers.differences import Difference
from prenorm.proof.numbers.sketch import sketch
from prenorm.proof.references import ChosenReference, open_reference
from prenorm.proof.references.builtin import Stage
from prenorm.proof.references.golden import (
    SCHEMA_VERSION,
    Golden,
    GoldenReference,
    read_golden,
    record_outputs,
    write_golden,
)
from prenorm.reports.environment import environment
from prenorm.reports.model import Audit, AuditRow, Diagnosis, Report
from prenorm.rules.rows import Row

_CHUNK = 4 << 20


@with_keywords(RecordOptions)
def record(options: RecordOptions) -> Golden:
    """Store what the checkpoint computes in the file `golden`, so that `verify` needs neither it nor fairseq.

    With `bpe_dir` the golden file expects a folder with that tokenizer's extra rows.

    Args:
        options: the arguments and keywords.

    Returns:
        What was stored.

    Raises:
        UsageProblem: if an argument or a file does not fit, or `golden` exists.
        NotRepresentable: if no Hugging Face architecture computes what the checkpoint computes.
        UnreadableCheckpoint: if the checkpoint is damaged, incomplete or unsafe.
        HubProblem: if the Hub does not hand out the checkpoint.
    """
    prepared = prepare(open_source(options.checkpoint, options.listener), options)
    plan, subject = prepared.plan, Subject.of(prepared.plan)
    with open_reference(prepared, prepared.tensors, options) as reference:
        outputs = record_outputs(reference.model, subject)
    facts = {
        "schema_version": SCHEMA_VERSION,
        "source": {
            "file": prepared.checkpoint.file.name,
            "bytes": prepared.checkpoint.file.size,
            "sha256": _file_digest(prepared.checkpoint.file.path),
            "layout": plan.description.layout,
            "dtype": plan.description.dtype,
        },
        "reference": reference.name,
        "noise": _noise(reference, subject),
        "environment": environment(),
        "subject": {
            "batches": len(subject.batches), "pad": subject.pad, "kind": subject.kind.value, "head": subject.head,
            "dtype": subject.dtype, "layers": subject.layers, "vocab_size": plan.description.vocab_size,
        },
        "config": _config_facts(plan),
        "tensors": [
            {"name": row.target, "dtype": row.dtype, "shape": list(row.shape), "sha256": _row_digest(row)}
            for row in plan.rows
        ],
    }  # fmt: skip
    found = Golden(facts, outputs)
    write_golden(Path(options.golden), found)
    return found


@with_keywords(GoldenOptions)
def verify_golden(options: GoldenOptions) -> Report:
    """Judge a folder by a golden file alone.

    Args:
        options: the arguments and keywords.

    Returns:
        The report, whatever its verdict.

    Raises:
        UsageProblem: if there is no such folder, or it is no model folder.
        UnreadableCheckpoint: if the golden file was changed.
        HubProblem: if the Hub does not have the folder.
    """
    known = read_golden(Path(options.golden))
    found = Found()
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        published = open_folder(options.folder, Path(scratch), options.revision, options.listener)
        counts = Counter(item.dtype for item in published.tensors.values())
        found.check("config", list(check_config(published.config, known.config, counts)))
        found.disagreements += published.damage
        for make in RUNTIMES[options.runtime]:
            _compare(found, known, published, make)
        audited = _audit(known, published)
    found.checks.append(tensors_check(audited))
    found.disagreements += [f"weights: {text}" for text in audited.problems]
    found.disagreements += [
        f"weights: '{row.target}' has other bytes than were recorded" for row in audited.rows if row.equal is False
    ]
    return _report(found, known, published, audited)


def _compare(found: Found, known: Golden, published: Published, make: Callable[..., Runtime]) -> None:
    rows = known.facts["subject"]["vocab_size"]
    try:
        runtime = _Sketched(make(published.path, known.subject.kind), rows)
        comparison = Comparison(
            known.subject, GoldenReference(known), runtime, known.noise, logits=Difference("logits")
        ).run()
    except PrenormError:
        raise
    except (ValueError, RuntimeError, IndexError, OSError, KeyError) as error:
        found.fail_numbers("" if make is RUNTIMES["bundled"][0] else " (transformers)", error)
        return
    found.comparisons.append(comparison)
    found.take(comparison_checks(comparison, "" if runtime.name == "bundled" else " (transformers)"))


class _Sketched:
    """A runtime whose outputs are their sketches."""

    def __init__(self, runtime: Runtime, rows: int) -> None:
        self._runtime = runtime
        self._rows = rows
        self.name = runtime.name

    def run(self, input_ids: Tensor, attention_mask: Tensor, on_stage: Callable[[Stage], None]) -> Tensor:
        """One batch. Of a vocabulary only the rows that were recorded are sketched."""

        def sketched(stage: Stage) -> None:
            name, parts = stage
            on_stage((name, {"out": sketch(parts["out"])}))

        output = self._runtime.run(input_ids, attention_mask, sketched)
        return sketch(output[..., : self._rows]) if output.dim() == 3 else output


def _noise(reference: ChosenReference, subject: Subject) -> dict[str, float]:
    """How far the recorded outputs are from exact ones, by stage and part: nothing, unless fairseq computed them."""
    stages = ["embeddings", "layer_norm", "logits", *(f"layers.{n}" for n in range(subject.layers))]
    found = {f"{stage}/out": reference.noise(stage, "out") for stage in stages}
    if subject.head is not None:
        found |= {
            f"head.{subject.head}/{part}": reference.noise(f"head.{subject.head}", part) for part in ("dense", "out")
        }
    return {place: value for place, value in found.items() if value}


def _config_facts(plan: ConversionPlan) -> dict[str, object]:
    expected = ExpectedConfig.of(plan)
    labels = None if expected.labels is None else list(expected.labels)
    return {
        "model_type": expected.model_type, "architecture": expected.architecture, "kind": expected.kind.value,
        "fields": dict(expected.fields), "outputs": expected.outputs, "labels": labels,
    }  # fmt: skip


def _audit(known: Golden, published: Published) -> Audit:
    """The folder's tensors by their hashes."""
    wanted: Mapping[str, Mapping[str, Any]] = {item["name"]: item for item in known.facts["tensors"]}
    rows = []
    for name, stored in sorted(published.tensors.items()):
        if name in wanted:
            same = (stored.dtype, list(stored.shape)) == (wanted[name]["dtype"], wanted[name]["shape"])
            equal = same and _tensor_digest(stored.file, name) == wanted[name]["sha256"]
            rows.append(AuditRow(None, name, "recorded", "", equal))
    missing = [
        f"target tensor '{name}' was recorded and is not in the files" for name in wanted.keys() - published.tensors
    ]
    extra = [
        f"target tensor '{name}' is in the files and was not recorded" for name in published.tensors.keys() - wanted
    ]
    return Audit(tuple(rows), tuple(sorted([*missing, *extra])))


def _report(found: Found, known: Golden, published: Published, audited: Audit) -> Report:
    shown = next((item for item in found.comparisons if item.divergence), None) or next(iter(found.comparisons), None)
    at = shown.divergence if shown else None
    return Report.of_parity(
        reference=f"golden ({known.facts['reference']}, recorded by prenorm {known.facts['environment']['prenorm']})",
        compute_dtype="float64",
        source=known.facts["source"],
        target={
            "folder": published.name,
            **{key: published.config.get(key) for key in ("model_type", "architectures")},
        },
        checks=found.checks,
        modules=shown.modules.lines() if shown else (),
        audit=audited,
        runtimes=tuple(item.runtime.name for item in found.comparisons),
        positions=shown.positions.lines() if shown else None,
        divergence=Diagnosis(at.module, None, None) if at else None,
        disagreements=found.disagreements,
    )


def _row_digest(row: Row) -> str:
    digest = hashlib.sha256()
    for piece in row_pieces(row):
        digest.update(piece)
    return digest.hexdigest()


def _tensor_digest(file: Path, name: str) -> str:
    with safe_open(file, framework="pt") as opened, torch.inference_mode():
        return hashlib.sha256(tensor_bytes(opened.get_tensor(name))).hexdigest()


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
