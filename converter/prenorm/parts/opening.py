"""Open a checkpoint, whether it lies in one file or in several: the others are opened beside it and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from prenorm.checkpoint import Checkpoint, Mapped, MappedFile, open_file
from prenorm.checkpoint.pickle.globals import NamedGlobal, describe_globals
from prenorm.checkpoint.pickle.placeholders import GlobalName
from prenorm.checkpoint.pickle.shown import shown
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor
from prenorm.errors import UnreadableCheckpoint
from prenorm.parts.agreement import check_agreement, check_rank
from prenorm.parts.grid import PartFiles, find_files, recorded_counts
from prenorm.parts.model_parallel import join_parts, refuse_lone_part
from prenorm.parts.names import PartName
from prenorm.parts.shard_metadata import METADATA_KEYS, ShardMetadata, read_metadata
from prenorm.parts.shards import join_shards, refuse_lone_shard
from prenorm.source.arguments import find_arguments

_Named = dict[str, LazyTensor]


def open_checkpoint(path: str | Path, mapped: Mapped = MappedFile) -> Checkpoint:
    """Open a checkpoint without running anything it carries and without reading its weights.

    Args:
        path: the file; of a checkpoint in several, any of them. The others are looked for beside it.
        mapped: maps each file.

    Returns:
        The whole checkpoint, with every tensor still in its file.

    Raises:
        UsageProblem: if `path` is no file.
        UnreadableCheckpoint: if a file is no checkpoint, missing, damaged, or made to do harm.
        NotRepresentable: for model-parallel parts without a final norm.
    """
    return _complete(open_file(path, mapped), mapped)


def _complete(checkpoint: Checkpoint, mapped: Mapped) -> Checkpoint:
    """Open the other files that a checkpoint lies in, and put its model together.

    The result's `model` (and `extra_state['ema']`) are whole tensors by fairseq's names, its `parts` the single files
    in their order; all else is what the first file holds.

    Args:
        checkpoint: the opened file.
        mapped: maps the others.

    Returns:
        The whole checkpoint; the same where it lies in one file.
    """
    name = PartName.of(checkpoint.file.name)
    if name is None:
        refuse_lone_shard(checkpoint.content, checkpoint.file.name)
        refuse_lone_part(checkpoint.content, checkpoint.file.name)
        return checkpoint
    own_arguments = find_arguments(checkpoint.content)
    grid = find_files(checkpoint.file.path, name, recorded_counts(own_arguments))
    opened = [[_open(checkpoint, path, mapped) for path in shards] for shards in grid.paths]
    files = [file for shards in opened for file in shards]
    arguments = [own_arguments if file is checkpoint else find_arguments(file.content) for file in files]
    check_agreement(files, arguments)
    for number, (file, recorded) in enumerate(zip(files, arguments, strict=True)):
        part, shard = divmod(number, len(grid.paths[0]))
        check_rank(file, recorded, part=part, shard=shard, grid=grid)
    metadata = [[_metadata(file) for file in shards] for shards in opened] if grid.sharded else []
    content = dict(files[0].content)
    content["model"] = _whole(opened, metadata, grid, _model)
    averaged = _averages(files)
    if averaged:
        extra = content["extra_state"]
        assert isinstance(extra, dict)
        content["extra_state"] = {**extra, "ema": _whole(opened, metadata, grid, _average)}
    container = " and ".join(sorted({file.container for file in files}))
    return replace(
        files[0],
        container=f"{container}, {grid.words}",
        content=content,
        globals=_all_globals(files),
        records={},
        parts=tuple(files),
    )


def _open(opened: Checkpoint, path: Path, mapped: Mapped) -> Checkpoint:
    """Open the checkpoint at `path`, but not the one that is open already."""
    if path.name == opened.file.name:
        return opened
    if not path.is_file():  # asked before it is opened, which would wait for a pipe's other end
        raise UnreadableCheckpoint(
            "it should be a part of the checkpoint, and is no file that can be read",
            subject=path.name,
            advice="Put the part that fairseq saved there",
        )
    return open_file(path, mapped)


def _metadata(file: Checkpoint) -> ShardMetadata:
    key = next((key for key in METADATA_KEYS if key in file.content), None)
    if key is None:
        raise UnreadableCheckpoint(
            "it is named as an FSDP shard, and does not say which tensors its numbers are (it has no 'fsdp_metadata')",
            subject=file.file.name,
            advice="Saved by fairseq before May 2021, shards cannot be put together; a whole checkpoint needs another name",
        )
    return read_metadata(file.content[key], file.file.name)


def _whole(
    opened: Sequence[Sequence[Checkpoint]],
    metadata: Sequence[Sequence[ShardMetadata]],
    grid: PartFiles,
    state: Callable[[Checkpoint], object],
) -> dict[str, SourceTensor]:
    """Put one state dict (the model's, or its average's) together from all files."""
    parts: list[dict[str, SourceTensor]] = []
    for number, shards in enumerate(opened):
        named = [_tensors(file, state(file)) for file in shards]
        names = [file.file.name for file in shards]
        parts.append(join_shards(named, metadata[number], names) if grid.sharded else dict(named[0]))
    if not grid.model_parallel:
        return parts[0]
    return join_parts(parts, [[file.file for file in shards] for shards in opened])


def _model(file: Checkpoint) -> object:
    return file.content.get("model")


def _average(file: Checkpoint) -> object:
    extra = file.content.get("extra_state")
    return extra.get("ema") if isinstance(extra, dict) else None


def _averages(files: Sequence[Checkpoint]) -> bool:
    """Say whether the files hold a moving average; all of one run do, or none."""
    having = [bool(_average(file)) for file in files]
    if any(having) and not all(having):
        raise UnreadableCheckpoint(
            "it holds no moving average of its weights, and other parts do",
            subject=files[having.index(False)].file.name,
            advice="Give the parts of one run",
        )
    return all(having)


def _tensors(file: Checkpoint, state: object) -> _Named:
    """Return a state dict's entries, all of them tensors."""
    if not isinstance(state, dict) or not state:
        raise UnreadableCheckpoint("it has no dictionary 'model' with tensors", subject=file.file.name)
    named = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, LazyTensor)}
    others = [f"'{shown(key)}'" for key in state if key not in named]
    if others:
        raise UnreadableCheckpoint(
            "entries of 'model' are no plain tensors", subject=file.file.name, problems=others[:20]
        )
    return named


def _all_globals(files: Sequence[Checkpoint]) -> tuple[NamedGlobal, ...]:
    """Collect what any of the pickles names."""
    called: dict[GlobalName, bool] = {}
    for item in (item for file in files for item in file.globals):
        name = GlobalName(item.module, item.name)
        called[name] = called.get(name, False) or item.called
    return describe_globals(called)
