"""The folder's content: written from the plan, proven from its files, and completed by card and report."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec import structs

from prenorm.files import CARD_FILE, CONFIG_FILE, PLOT_FILE, REPORT_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from prenorm.folder.card.command import CardCommands
from prenorm.folder.card.model_card import model_card
from prenorm.folder.card.names import PublicNames
from prenorm.folder.card.options import UserText
from prenorm.folder.digests import Digests
from prenorm.folder.files import row_nbytes, write_bytes, write_json, write_text, write_weights
from prenorm.mapping.understood import Prepared
from prenorm.options import ConvertOptions
from prenorm.progress import Progress
from prenorm.proof import NO_TOKENIZER, JudgedFolder, not_judged, prove_by_checkpoint
from prenorm.reports import render
from prenorm.reports.failure import ParityFailed
from prenorm.reports.model import Report
from prenorm.tokenization import tokenizer_config


def write_folder(prepared: Prepared, staging: Path, *, allow_nonfinite: bool, progress: Progress) -> None:
    """Write weights, config and tokenizer.

    Args:
        prepared: the checkpoint and its plan.
        staging: the folder to write to.
        allow_nonfinite: whether NaN and infinity are written, too.
        progress: receives the bytes written.

    Raises:
        UnreadableCheckpoint: if the weights hold NaN or infinity, and must not.
    """
    plan = prepared.plan
    progress.stage("Writing", sum(row_nbytes(row) for row in plan.rows))
    name = prepared.checkpoint.file.name
    write_weights(staging, plan.rows, source=name, allow_nonfinite=allow_nonfinite, tick=progress.advance)
    write_json(staging / CONFIG_FILE, plan.config)
    if prepared.tokenization is not None:
        tokenizer = prepared.tokenization.build()
        write_text(staging / TOKENIZER_FILE, tokenizer.to_str(pretty=True) + "\n")
        settings = tokenizer_config(prepared.tokenization, plan.description.longest_input)
        write_json(staging / TOKENIZER_CONFIG_FILE, settings)


def prove_folder(
    prepared: Prepared, staging: Path, options: ConvertOptions, *, user_text: UserText, commands: CardCommands
) -> Report:
    """Prove the staging folder and, if it agrees, add plot, model card and report to it.

    Args:
        prepared: the checkpoint and its plan.
        staging: the folder, as `write_folder` left it.
        options: what computes the checkpoint, and what receives the progress.
        user_text: what the user brings for the card.
        commands: those that the card shows.

    Returns:
        The report, whatever its verdict.

    Raises:
        UnreadableCheckpoint: if the checkpoint's bytes turn out to be damaged.
        ParityFailed: if the written files do not fit the model, so that nothing can be compared.
    """
    try:
        report, file_digests = _prove(prepared, staging, options)
    except ValueError as error:
        raise ParityFailed(f"the written model cannot be compared: {error}", subject=options.output) from error
    return _complete(prepared, staging, report, file_digests, user_text, commands) if report.agrees else report


def _prove(prepared: Prepared, staging: Path, options: ConvertOptions) -> tuple[Report, dict[str, str]]:
    """Return the report, and the SHA-256 of each file in the staging folder."""
    folder = JudgedFolder.staged(staging, prepared.plan)
    with Digests(prepared.checkpoint) as digests:
        report, file_digests = prove_by_checkpoint(prepared, folder, options, digests, progress=options.listener)
    if prepared.tokenization is None:
        report = report.with_unjudged([not_judged(NO_TOKENIZER)])
    return report, file_digests


def _complete(
    prepared: Prepared,
    staging: Path,
    report: Report,
    file_digests: dict[str, str],
    user_text: UserText,
    commands: CardCommands,
) -> Report:
    """Write plot, card and report, and return the report with the digests of all other files."""
    from prenorm.reports.plots import plot_png  # it brings matplotlib, which verify has no use for

    names = PublicNames.of_keys(prepared.tensors)
    has_tokenizer = prepared.tokenization is not None
    card = model_card(
        prepared.plan, report, has_tokenizer=has_tokenizer, user_text=user_text, commands=commands, names=names
    )
    for name, content in ((PLOT_FILE, plot_png(report)), (CARD_FILE, card.encode())):
        write_bytes(staging / name, content)
        file_digests[name] = hashlib.sha256(content).hexdigest()
    files = [
        {"name": name, "bytes": (staging / name).stat().st_size, "sha256": digest}
        for name, digest in sorted(file_digests.items())
    ]
    report = structs.replace(report, target={**report.target, "files": files})
    write_text(staging / REPORT_FILE, render(report, ".json"))
    return report
