"""Convert one member of a run: a plain conversion into its folder, and its record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.convert import convert_checkpoint
from prenorm.commands.run.plan import Member, Problem, RunPlan, SourceFile, fault, of_system
from prenorm.commands.run.planning import conversion_options
from prenorm.commands.run.state import (
    MemberRecord,
    MemberState,
    failure_of,
    look,
    record_path,
    with_digests,
    write_record,
)
from prenorm.errors import PrenormError, UnreadableCheckpoint
from prenorm.files import REPORT_FILE, pieces_of, sha256_of
from prenorm.mapping.understood import TokenizerChoices
from prenorm.progress import Progress

if TYPE_CHECKING:
    from prenorm.reports.model import Report

_CHANGED_ADVICE = "Let whoever writes it finish, and repeat the command"


def convert_member(
    plan: RunPlan, member: Member, output: Path, progress: Progress, choices: TokenizerChoices | None = None
) -> MemberRecord:
    """Convert a member, unless it is done already, and keep its record in the run's folder.

    Args:
        plan: of the run.
        member: one of its members.
        output: the run's folder.
        progress: receives the stages of the conversion.
        choices: the tokenizers of the members that this process has converted before.

    Returns:
        The record; of a failure, too, whatever it comes from.
    """
    before = look(plan, member, output)  # another process may have done it meanwhile
    if before.state is MemberState.DONE and before.record is not None:
        return before.record
    start = time.perf_counter()
    try:
        record = _convert(plan, member, output, progress, choices)
    except (PrenormError, OSError) as error:
        problem = change_of(plan, member) or (
            Problem.of(error) if isinstance(error, PrenormError) else of_system(error)
        )
    except Exception as error:  # a fault of ours in one member stops no other
        problem = fault(error)
    else:
        record_path(output, member.name, failed=True).unlink(missing_ok=True)
        return record
    record = failure_of(plan, member, problem, time.perf_counter() - start)
    with suppress(OSError):  # on a full disk: whoever asked is told all the same
        write_record(output, record)
    return record


def _convert(
    plan: RunPlan, member: Member, output: Path, progress: Progress, choices: TokenizerChoices | None
) -> MemberRecord:
    """Convert a member. Its record is written just before its folder is published."""
    start = time.perf_counter()
    records: list[MemberRecord] = []
    warnings = _KeptWarnings(progress)
    check_unchanged(plan, member)

    def keep(staging: Path, report: Report) -> None:
        check_unchanged(plan, member)
        digests = _digests(report.source, member)
        _check_digests(member, digests)
        record = _record(plan, member, staging, report)
        record = _with(record, with_digests(member.files, digests), time.perf_counter() - start, warnings.texts)
        write_record(output, record)
        records.append(record)

    convert_checkpoint(replace(conversion_options(plan, member, output), progress=warnings), keep, choices)
    return records[0]


def check_unchanged(plan: RunPlan, member: Member) -> None:
    """Refuse a checkpoint that is another one than when the plan was made.

    Args:
        plan: of the run.
        member: one of its members.

    Raises:
        UnreadableCheckpoint: if one of its files is gone, or has another size or time.
    """
    for file in member.files:
        try:
            now = SourceFile.of(Path(plan.run) / file.name)
        except FileNotFoundError as error:
            raise UnreadableCheckpoint(
                "it vanished before it was converted", subject=file.name, advice="Repeat the command"
            ) from error
        if now.bytes != file.bytes:
            raise UnreadableCheckpoint(
                f"it was written to while it was read: it had {file.bytes:,} bytes, and has {now.bytes:,}",
                subject=file.name,
                advice=_CHANGED_ADVICE,
            )
        if not now.is_as(file):
            raise UnreadableCheckpoint(
                "it was replaced or written to while it was read", subject=file.name, advice=_CHANGED_ADVICE
            )


def change_of(plan: RunPlan, member: Member) -> Problem | None:
    """Return the problem of a checkpoint that changed meanwhile, from which any other error follows.

    Args:
        plan: of the run.
        member: one of its members.

    Returns:
        The problem; None if the checkpoint is as it was.
    """
    try:
        check_unchanged(plan, member)
    except UnreadableCheckpoint as error:
        return Problem.of(error)
    except OSError as error:
        return of_system(error)
    return None


def _digests(source: Mapping[str, object], member: Member) -> dict[str, str]:
    """Return the checksums of the checkpoint's files, which the proof has computed of what it read."""
    parts = source.get("parts")
    if isinstance(parts, list | tuple):
        return {str(part["name"]): str(part["sha256"]) for part in parts}
    return {member.checkpoint: str(source["sha256"])}


def _check_digests(member: Member, digests: Mapping[str, str]) -> None:
    for file in member.files:
        if file.sha256 is not None and file.sha256 != digests.get(file.name):
            raise UnreadableCheckpoint(
                "it was replaced or written to while it was read", subject=file.name, advice=_CHANGED_ADVICE
            )


def _record(plan: RunPlan, member: Member, staging: Path, report: Report) -> MemberRecord:
    from prenorm.reports.series import margin, points

    nearest = margin(points(report))
    return MemberRecord(
        name=member.name,
        prenorm=plan.prenorm,
        options=plan.options,
        inputs=plan.inputs,
        files=member.files,
        seconds=0.0,
        report=sha256_of(pieces_of(staging / REPORT_FILE)),
        verdict=report.words,
        margin=None if nearest is None else nearest.factor,
        nearest="" if nearest is None else nearest.sentence,
        bytes=sum(path.stat().st_size for path in staging.iterdir()),
        unjudged=tuple(report.unjudged_parts),
    )


def _with(record: MemberRecord, files: tuple[SourceFile, ...], seconds: float, warnings: list[str]) -> MemberRecord:
    from msgspec import structs

    return structs.replace(record, files=files, seconds=round(seconds, 3), warnings=tuple(warnings))


class _KeptWarnings:
    """Keeps the warnings of a conversion, and hands all on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.texts: list[str] = []
        self.stage, self.advance = progress.stage, progress.advance

    def warn(self, text: str) -> None:
        self.texts.append(text)
        self._progress.warn(text)
