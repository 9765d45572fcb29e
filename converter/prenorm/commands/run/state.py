"""What is done, what failed and what is left: found out by looking at what lies in OUTPUT, and by nothing else.

A member's record, `members/NAME.json`, is written before its folder is published and names the report in that folder by its
checksum. So a folder with the report that its record names is complete, and was made as the record says; a process that is
killed between the two leaves a record of a folder that is not there, which counts for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from prenorm.commands.run.plan import MEMBERS_FOLDER, Member, Problem, RunPlan, SourceFile, read_struct, write_struct
from prenorm.files import REPORT_FILE, pieces_of, sha256_of
from prenorm.options import ConversionOptions, option_fields, option_of
from prenorm.options.facts import LOCAL
from prenorm.options.spoken import spoken
from prenorm.words import Worded

_FAILED = ".failed.json"


class MemberState(Worded):
    """What became of a member; the value is the word that is shown."""

    DONE = "done"
    FAILED = "failed"
    LEFT = "left"


class MemberRecord(Struct, frozen=True, kw_only=True):
    """How a member was converted, or that it was not.

    Attributes:
        name: of its folder.
        prenorm: the version that did it.
        options: those of the plan, then.
        inputs: those of the plan, then.
        files: of the checkpoint, with their checksums.
        seconds: how long it took.
        report: SHA-256 of the folder's report; None if it failed.
        verdict: of the report.
        margin: by which factor the nearest difference is below its tolerance; None where there is none.
        nearest: which difference that is, with both numbers.
        bytes: of the folder.
        unjudged: the parts of the folder that were not judged and change what it computes.
        warnings: what the user should know, a sentence each.
        problem: why it failed.
    """

    name: str
    prenorm: str
    options: dict[str, Any]
    inputs: dict[str, str]
    files: tuple[SourceFile, ...]
    seconds: float
    report: str | None = None
    verdict: str | None = None
    margin: float | None = None
    nearest: str = ""
    bytes: int = 0
    unjudged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True)
class Look:
    """What one look at a member's files tells.

    Attributes:
        state: what became of it.
        record: how; None if it is left.
        why: why a folder that is there is made again; empty for none.
    """

    state: MemberState
    record: MemberRecord | None = None
    why: str = ""


def record_path(output: Path, name: str, *, failed: bool = False) -> Path:
    """Return where the record of a member lies.

    Args:
        output: the run's folder.
        name: of the member.
        failed: whether of a failure.

    Returns:
        The path.
    """
    return output / MEMBERS_FOLDER / f"{name}{_FAILED if failed else '.json'}"


def write_record(output: Path, record: MemberRecord) -> None:
    """Write a member's record; that of a success takes a failure's away once its folder is there, see `look`.

    Args:
        output: the run's folder.
        record: of the member.
    """
    path = record_path(output, record.name, failed=record.problem is not None)
    path.parent.mkdir(exist_ok=True)
    write_struct(path, record)


def look(plan: RunPlan, member: Member, output: Path) -> Look:
    """Find out what became of a member.

    Args:
        plan: of the run.
        member: one of its members.
        output: the run's folder.

    Returns:
        What lies there. A folder that was made of another checkpoint, with other options or by another prenorm is left to be
        made again.
    """
    if member.reading.problem is not None:
        return Look(MemberState.FAILED, failure_of(plan, member, member.reading.problem))
    record: MemberRecord | None = read_struct(record_path(output, member.name), MemberRecord)
    why = ""
    if record is not None and (output / member.name).is_dir():
        why = _not_as_recorded(output / member.name, record) or _made_otherwise(plan, member, record)
        if not why:
            return Look(MemberState.DONE, record)
    failure: MemberRecord | None = read_struct(record_path(output, member.name, failed=True), MemberRecord)
    if failure is not None and not _made_otherwise(plan, member, failure):
        return Look(MemberState.FAILED, failure, why)
    return Look(MemberState.LEFT, None, why)


def failure_of(plan: RunPlan, member: Member, problem: Problem, seconds: float = 0.0) -> MemberRecord:
    """Return the record of a member that was not converted.

    Args:
        plan: of the run.
        member: one of its members.
        problem: why it failed.
        seconds: how long that took.

    Returns:
        The record.
    """
    return MemberRecord(
        name=member.name, prenorm=plan.prenorm, options=plan.options, inputs=plan.inputs, files=member.files,
        seconds=seconds, problem=problem,
    )  # fmt: skip


def _not_as_recorded(folder: Path, record: MemberRecord) -> str:
    """Say what is wrong with a folder; nothing if it is the one of its record, with all its files."""
    report = folder / REPORT_FILE
    try:
        if sha256_of(pieces_of(report)) != record.report:
            return f"its {REPORT_FILE} is another one"
        files = json.loads(report.read_bytes())["target"]["files"]
        for file in files:
            if (folder / file["name"]).stat().st_size != file["bytes"]:
                return f"its {file['name']} was changed"
    except (OSError, ValueError, KeyError, TypeError):
        return "it is not complete"
    return ""


def _made_otherwise(plan: RunPlan, member: Member, record: MemberRecord) -> str:
    """Say what is another now than when a record was made; nothing if all is the same."""
    if record.prenorm != plan.prenorm:
        return f"made by prenorm {record.prenorm}, and this is {plan.prenorm}"
    names = _changed_options(plan.options, record.options)
    if names:
        return f"{', '.join(map(spoken, names))} changed"
    if "strict" in plan.options and record.unjudged:
        return f"{spoken('strict')}, and it has parts that were not judged"
    inputs = sorted(_named_digests(plan.inputs) ^ _named_digests(record.inputs))
    if inputs:
        return f"{inputs[0][0]} changed"
    return "" if _same_checkpoint(plan, member, record) else f"{member.checkpoint} changed"


def _changed_options(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Return the options that make another folder than those before: what the card's command shows does, no other."""
    items = [item for item in option_fields(ConversionOptions) if option_of(item).on_card]
    return [item.name for item in items if _shown(item, now.get(item.name)) != _shown(item, before.get(item.name))]


def _shown(item: Field[Any], value: Any) -> Any:
    """Return what of an option's value a folder depends on: of a path the name; `inputs` has the content."""
    return Path(value).name if option_of(item).kind in LOCAL and value is not None else value


def _named_digests(inputs: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return names and checksums of files, wherever they lie: a run may be moved."""
    return {(Path(path).name, digest) for path, digest in inputs.items()}


def _same_checkpoint(plan: RunPlan, member: Member, record: MemberRecord) -> bool:
    """Return whether a member's files are those of its record; those whose name, size or time differ are read for that."""
    if [file.bytes for file in member.files] != [file.bytes for file in record.files]:
        return False
    for now, before in zip(member.files, record.files, strict=True):
        if not now.is_as(before):
            digest = now.sha256 or _sha256(Path(plan.run) / now.name)
            if digest is None or digest != before.sha256:
                return False
    return True


def _sha256(path: Path) -> str | None:
    try:
        return sha256_of(pieces_of(path))
    except OSError:
        return None


def with_digests(files: tuple[SourceFile, ...], digests: Mapping[str, str]) -> tuple[SourceFile, ...]:
    """Return files with the checksums that are known of them.

    Args:
        files: of a checkpoint.
        digests: SHA-256 by name.

    Returns:
        The files.
    """
    return tuple(structs.replace(file, sha256=digests.get(file.name, file.sha256)) for file in files)
