"""The folder's content: written from the plan, proven from its files, and completed by card and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from converter.folder import (
    CARD_FILE,
    CONFIG_FILE,
    REPORT_FILE,
    WrittenFile,
    row_nbytes,
    write_json,
    write_text,
    write_weights,
)
from converter.model_card import model_card
from converter.parity.prove import prove, stage_count
from converter.parity.report import Check, ParityReport
from converter.progress import Progress
from converter.source_hash import SourceHash
from converter.tokenizer import (
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    build_tokenizer,
    count_wrong_ids,
    tokenizer_config,
)

if TYPE_CHECKING:
    from converter.pipeline import Prepared


def write_folder(prepared: Prepared, staging: Path, *, allow_nonfinite: bool, watch: Progress) -> list[WrittenFile]:
    """Writes weights, config and tokenizer."""
    plan = prepared.plan
    watch.stage("Writing", sum(row_nbytes(row) for row in plan.rows))
    written = write_weights(
        staging, plan.rows, prepared.checkpoint, allow_nonfinite=allow_nonfinite, tick=watch.advance
    )
    written.append(write_json(staging / CONFIG_FILE, plan.config))
    if prepared.tokenization is not None:
        from converter.pipeline import longest_input

        tokenizer = build_tokenizer(prepared.tokenization.vocabulary)
        written.append(write_text(staging / TOKENIZER_FILE, tokenizer.to_str(pretty=True) + "\n"))
        config = tokenizer_config(longest_input(plan.description))
        written.append(write_json(staging / TOKENIZER_CONFIG_FILE, config))
    return written


def prove_folder(
    prepared: Prepared, staging: Path, written: list[WrittenFile], digest: SourceHash, watch: Progress
) -> ParityReport:
    """Proves the staging folder and, if it agrees, adds model card and report to it."""
    plan, description = prepared.plan, prepared.plan.description
    watch.stage("Proving", stage_count(description.layers))
    report = prove(
        plan,
        prepared.tensors,
        staging,
        source={
            "file": prepared.checkpoint.file.name,
            "bytes": prepared.checkpoint.file.size,
            "sha256": "",
            "container": description.container,
            "layout": description.layout,
            "producer": description.producer,
            "dtype": description.dtype,
        },
        target={
            "model_type": plan.model_type,
            "architectures": [plan.architecture],
            "vocab_size": plan.config["vocab_size"],
            "extra_rows": plan.extra_rows,
        },
        more_checks=_tokenizer_check(prepared, staging),
        tick=watch.advance,
    )
    report = replace(report, source={**report.source, "sha256": digest.result()})
    if report.agrees:
        card = write_text(
            staging / CARD_FILE, model_card(plan, report, has_tokenizer=prepared.tokenization is not None)
        )
        files = [vars(item) for item in sorted([*written, card], key=lambda item: item.name)]
        report = replace(report, target={**report.target, "files": files})
        write_json(staging / REPORT_FILE, report.to_dict())
    return report


def _tokenizer_check(prepared: Prepared, staging: Path) -> tuple[Check, ...]:
    parts = prepared.tokenization
    if parts is None:
        return ()
    tokens, wrong = count_wrong_ids(staging / TOKENIZER_FILE, parts.dictionary, parts.bpe)
    return (Check("tokenizer ids", wrong == 0, {"tokens": tokens, "wrong": wrong}),)
