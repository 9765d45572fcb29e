"""Make the plan of a run: read what is new in RUN, recognize a checkpoint under two names, order, name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from prenorm.commands.run.members import CheckpointFiles, distinct_names, find_checkpoints
from prenorm.commands.run.plan import Alias, Member, Reading, RunPlan, SourceFile, of_system
from prenorm.commands.run.survey import of_one_run, read_checkpoint
from prenorm.files import pieces_of, sha256_of
from prenorm.options import (
    ConversionOptions,
    ConvertOptions,
    ConvertRunOptions,
    Kind,
    SourceOptions,
    option_fields,
    option_of,
    selected,
)
from prenorm.reports.environment import package_version
from prenorm.tokenization import gpt2
from prenorm.tokenization.dictionary import DICTIONARY_FILE
from prenorm.tokenization.nearby import is_tokenizer_file

_Known = tuple[tuple[SourceFile, ...], Reading]
_MOST_INPUT_BYTES = 1 << 30  # no dictionary and no tokenizer is larger


@dataclass
class _Entry:
    """A checkpoint while the plan is made."""

    checkpoint: CheckpointFiles
    files: tuple[SourceFile, ...]
    reading: Reading

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(file.bytes for file in self.files)

    @property
    def digests(self) -> tuple[str | None, ...]:
        return tuple(file.sha256 for file in self.files)


def make_plan(options: ConvertRunOptions, before: RunPlan | None, threads: int) -> RunPlan:
    """Make the plan of a run, as its folder is now.

    Args:
        options: of the command.
        before: the plan of the last command; what it says of files that are unchanged is not read again.
        threads: how many each conversion computes with.

    Returns:
        The plan.

    Raises:
        UsageProblem: if RUN holds no checkpoint, or a file that an option names cannot be read.
    """
    run, stored = Path(options.run).resolve(), stored_options(options)
    same_options = before is not None and before.options == stored
    known = _known(before) if before is not None and same_options else {}
    progress = options.listener
    checkpoints = find_checkpoints(run, options.match)
    progress.stage("Reading", len(checkpoints))
    entries = []
    for checkpoint in checkpoints:
        entries.append(_entry(checkpoint, known, options))
        progress.advance(1)
    for entry, reading in zip(entries, of_one_run([entry.reading for entry in entries]), strict=True):
        entry.reading = reading
    members = _members(entries)
    folders = {Path(folder) for entry in entries if (folder := entry.reading.data) is not None}
    return RunPlan(
        prenorm=package_version("prenorm"),
        run=str(run),
        match=options.match,
        options=stored,
        inputs=_inputs(options, run, folders),
        threads=threads,
        members=members,
    )


def stored_options(options: ConvertRunOptions) -> dict[str, Any]:
    """Return the options of the conversion that are not at their defaults, as a plan holds them.

    Args:
        options: of the command.

    Returns:
        Plain values by field name; paths are absolute.
    """
    values = {item.name: (item, getattr(options, item.name)) for item in option_fields(ConversionOptions)}
    return {name: _plain(value) for name, (item, value) in values.items() if value != item.default}


def conversion_options(plan: RunPlan, member: Member, output: Path) -> ConvertOptions:
    """Return the options of one member's conversion.

    Args:
        plan: of the run.
        member: one of its members.
        output: the run's folder.

    Returns:
        The options, which replace what lies where the member's folder goes.
    """
    return ConvertOptions(Path(plan.run) / member.checkpoint, output / member.name, overwrite=True, **plan.options)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not isinstance(value, Path):
        return value
    return str(value) if gpt2.is_name(value) else str(value.absolute())


def _known(plan: RunPlan) -> dict[str, _Known]:
    """Return what a plan says of each checkpoint, under all its names."""
    known = {member.checkpoint: (member.files, member.reading) for member in plan.members}
    return known | {alias.checkpoint: (alias.files, item.reading) for item in plan.members for alias in item.aliases}


def _entry(
    checkpoint: CheckpointFiles, known: Mapping[str, tuple[tuple[SourceFile, ...], Reading]], options: ConvertRunOptions
) -> _Entry:
    """Look at a checkpoint's files; read it unless the last plan has read them as they are."""
    try:
        files = tuple(SourceFile.of(path) for path in checkpoint.paths)
    except OSError as error:  # it vanished a moment ago, or is a link to nothing
        return _Entry(checkpoint, (), Reading(problem=of_system(error)))
    before, reading = known.get(checkpoint.name, ((), Reading()))
    if before and reading.problem is None and _unchanged(before, files):
        return _Entry(checkpoint, before, reading)
    return _Entry(checkpoint, files, read_checkpoint(checkpoint.paths[0], selected(SourceOptions, vars(options))))


def _unchanged(before: Sequence[SourceFile], now: Sequence[SourceFile]) -> bool:
    return len(before) == len(now) and all(map(SourceFile.is_as, before, now))


def _members(entries: Sequence[_Entry]) -> tuple[Member, ...]:
    """Put the checkpoints in order; those that are one under several names become one member."""
    ordered = sorted(entries, key=_order)
    kept: list[_Entry] = []
    aliases: dict[int, list[Alias]] = {}
    for entry in ordered:
        original = next((number for number, other in enumerate(kept) if _is_copy(entry, other)), None)
        if original is None:
            kept.append(entry)
        else:
            aliases.setdefault(original, []).append(Alias(entry.checkpoint.name, entry.files))
    names = distinct_names([entry.reading.updates for entry in kept], [entry.checkpoint.stem for entry in kept])
    return tuple(
        Member(
            name=name,
            checkpoint=entry.checkpoint.name,
            files=entry.files,
            aliases=tuple(aliases.get(number, ())),
            reading=entry.reading,
        )
        for number, (name, entry) in enumerate(zip(names, kept, strict=True))
    )


def _order(entry: _Entry) -> tuple[bool, int, int, str]:
    updates = entry.reading.updates
    return updates is None, updates or 0, entry.checkpoint.rank, entry.checkpoint.name


def _is_copy(entry: _Entry, other: _Entry) -> bool:
    """Return whether two checkpoints are the same bytes; only what may be is read for that."""
    if not entry.files or entry.size != other.size or entry.reading.updates != other.reading.updates:
        return False
    try:
        for one in (entry, other):
            one.files = tuple(map(_hashed, one.checkpoint.paths, one.files))
    except OSError:  # the conversion says what is wrong with it
        return False
    return entry.digests == other.digests


def _hashed(path: Path, file: SourceFile) -> SourceFile:
    return file if file.sha256 is not None else structs.replace(file, sha256=sha256_of(pieces_of(path)))


def _inputs(options: ConvertRunOptions, run: Path, data: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of every file that a conversion may read besides its checkpoint: named, or found by itself."""
    paths: set[Path] = set()
    for item in option_fields(ConversionOptions):
        value = getattr(options, item.name)
        if item.name == "fairseq_python" or option_of(item).kind not in (Kind.PATH, Kind.FOLDER) or value is None:
            continue
        paths |= {Path(value).absolute()} if Path(value).is_file() else set(_tokenizer_files(Path(value).absolute()))
    for folder in (run, run / "gpt2_bpe", *data):
        paths |= set(_tokenizer_files(folder))
    return {str(path): sha256_of(pieces_of(path)) for path in sorted(paths) if path.stat().st_size < _MOST_INPUT_BYTES}


def _tokenizer_files(folder: Path) -> list[Path]:
    try:
        names = [path for path in folder.iterdir() if path.name == DICTIONARY_FILE or is_tokenizer_file(path.name)]
        return [path for path in names if path.is_file()]
    except OSError:  # no such folder on this machine
        return []
