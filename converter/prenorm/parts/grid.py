"""Which files a checkpoint lies in: told by their names, and held against what they record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from prenorm.errors import UnreadableCheckpoint
from prenorm.parts.names import PartName
from prenorm.source.arguments import Arguments

_MOST_GAPS = 5  # that a message names


@dataclass(frozen=True)
class Counts:
    """How many parts and shards the run made, as it records; None where it does not."""

    parts: int | None = None
    shards: int | None = None


@dataclass(frozen=True)
class PartFiles:
    """The files of one checkpoint: `paths[part][shard]`; one part without model parallelism, one shard without FSDP."""

    paths: tuple[tuple[Path, ...], ...]
    model_parallel: bool
    sharded: bool

    @property
    def words(self) -> str:
        """What the files are, for people."""
        parts, shards = len(self.paths), len(self.paths[0])
        if not self.sharded:
            return f"{parts} model-parallel parts"
        count = f"{shards} FSDP shard" + ("s" if shards > 1 else "")
        return f"{parts} model-parallel parts of {count}" if self.model_parallel else count


def recorded(arguments: Arguments, section: str, name: str) -> int | None:
    """Find a whole number that fairseq records of the run, not of the model.

    The model's Namespace holds a copy of every option as it was given; only the section has what the run made of it.

    Args:
        arguments: what a checkpoint records.
        section: the section that holds it, where there are sections.
        name: its name there.

    Returns:
        The number, or None.
    """
    values = arguments.sections.get(section, {}) if arguments.sections else arguments.model
    value = values.get(name)
    return value if type(value) is int else None


def recorded_counts(arguments: Arguments) -> Counts:
    """Find how many files the run saved each checkpoint in: processes that share a model, and that shard it.

    Args:
        arguments: what a checkpoint records.

    Returns:
        The counts.
    """
    parts = recorded(arguments, "common", "model_parallel_size")
    processes = recorded(arguments, "distributed_training", "distributed_world_size")
    if parts is None or processes is None or parts < 1:
        return Counts(parts)
    return Counts(parts, processes // parts)


def find_files(path: Path, name: PartName, counts: Counts) -> PartFiles:
    """Find the files that belong to the same checkpoint, none missing and none too many.

    Args:
        path: one of them.
        name: what its name says.
        counts: how many there must be, as it records.

    Returns:
        The files.

    Raises:
        UnreadableCheckpoint: if one is missing, or one more is there than the run made.
    """
    try:
        names = [item.name for item in path.parent.iterdir()]
    except OSError as error:
        raise UnreadableCheckpoint(
            f"its folder, where the other parts should be, cannot be read ({error.strerror})", subject=path.name
        ) from error
    siblings = (other for other in map(PartName.of, names) if other is not None and other.family == name.family)
    numbers = {(other.part or 0, other.shard or 0) for other in siblings}
    numbers.add((name.part or 0, name.shard or 0))
    parts = _count([part for part, _ in numbers], counts.parts, name.part is not None)
    shards = _count([shard for _, shard in numbers], counts.shards, name.shard is not None)
    _refuse_incomplete(path.name, name, numbers, parts, shards)
    if name.part is not None and parts < 2:
        raise UnreadableCheckpoint(
            "it is one part of a model-parallel model, and the others are not beside it", subject=path.name,
            advice=f"Put {name.sibling(1, 0)} and so on beside it",
        )  # fmt: skip
    if name.part is None and (counts.parts or 1) > 1:
        raise UnreadableCheckpoint(
            f"model_parallel_size={counts.parts} is recorded, and the file's name speaks of no part", subject=path.name,
            advice=f"Give the files the names fairseq gave them, {name.stem}-model_part-0-shard0.pt and so on",
        )  # fmt: skip
    paths = tuple(tuple(path.with_name(name.sibling(part, shard)) for shard in range(shards)) for part in range(parts))
    return PartFiles(paths, name.part is not None, name.shard is not None)


def _count(numbers: Sequence[int], recorded: int | None, named: bool) -> int:
    """Count how many there should be: as recorded, else as many as the largest number says; a gap shows later."""
    if not named:
        return 1
    return recorded if recorded is not None and recorded > 0 else max(numbers) + 1


def _refuse_incomplete(file: str, name: PartName, numbers: set[tuple[int, int]], parts: int, shards: int) -> None:
    total = parts * shards
    extra = sorted(key for key in numbers if key[0] >= parts or key[1] >= shards)
    if extra:
        raise UnreadableCheckpoint(
            f"the run saved each checkpoint in {total} files, as it records, but there is also {name.sibling(*extra[0])}",
            subject=file,
            advice="It is of another run, or of the same with another number of processes: keep only one run's files there",
        )
    if len(numbers) == total:
        return
    # `total` may be any number that a file or a name claims: look no further than the first gaps.
    keys = (divmod(number, shards) for number in range(min(total, len(numbers) + _MOST_GAPS)))
    gaps = list(islice((key for key in keys if key not in numbers), _MOST_GAPS))
    more = f" and {total - len(numbers) - len(gaps)} more" if total - len(numbers) > len(gaps) else ""
    raise UnreadableCheckpoint(
        f"it is one of {total} files of a checkpoint, and {', '.join(name.sibling(*key) for key in gaps)}{more} "
        f"{'is' if total - len(numbers) == 1 else 'are'} missing",
        subject=file,
        advice="Put all of them into one folder",
    )
