"""`record`, and `verify --golden`: the proof in two halves, the second of which needs neither checkpoint nor fairseq."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import open_folder, open_source, prepare_with_weights
from prenorm.mapping.frequency import frequency_warning
from prenorm.options import GoldenOptions, RecordOptions
from prenorm.proof import (
    CHOICES,
    Computation,
    Golden,
    GoldenBasis,
    JudgedFolder,
    open_reference,
    prove,
    read_golden,
    record_golden,
    require_installed,
    unjudged_parts,
    write_golden,
)
from prenorm.reports.model import Report


@with_keywords(RecordOptions)
def record(options: RecordOptions) -> Golden:
    """Store what the checkpoint computes in the file `golden`, so that `verify` needs neither it nor fairseq.

    The golden file expects a folder with the tokenizer that `convert` gives it, and with its extra rows. Where there is none,
    the folder's tokenizer is not judged by it.

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
    progress = options.listener
    progress.stage("Reading", 1)
    checkpoint = open_source(options.checkpoint, options)
    prepared = prepare_with_weights(checkpoint, options)
    warnings = list(prepared.warnings)
    foreign = frequency_warning(prepared, prepared.dictionary if prepared.tokenization else None)
    if foreign is not None:
        warnings.append(foreign)
    for text in warnings:
        progress.warn(text)
    progress.stage("Recording", Computation.of(prepared.plan).stage_count)
    with open_reference(prepared, prepared.description.dtype, options) as reference:
        golden = record_golden(prepared, reference, progress.advance)
    write_golden(Path(options.golden), golden)
    choices = {"dictionary": str(prepared.dictionary_choice), "tokenizer": str(prepared.tokenizer)}
    return replace(golden, choices=choices, warnings=tuple(warnings))


@with_keywords(GoldenOptions)
def verify_golden(options: GoldenOptions) -> Report:
    """Judge a folder by a golden file alone.

    Args:
        options: the arguments and keywords.

    Returns:
        The report, whatever its verdict.

    Raises:
        UsageProblem: if there is no such folder, or it is no model folder, or a runtime is not installed.
        UnreadableCheckpoint: if the golden file was changed.
        HubProblem: if the Hub does not have the folder.
    """
    runtimes = CHOICES[options.runtime]
    require_installed(runtimes)
    basis = GoldenBasis(read_golden(Path(options.golden)))
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        published = open_folder(options.folder, Path(scratch), options.revision, options)
        options.listener.stage("Proving", basis.computation.stage_count * len(runtimes))
        report = prove(JudgedFolder.opened(published), basis, runtimes, tick=options.listener.advance)
        return report.with_unjudged(unjudged_parts(published, basis.tokenizer_of(published)))
