"""FSDP shards: every flat parameter is cut into as many equal pieces as there were processes, the last ones padded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from prenorm.checkpoint.tensors import LazyTensor, SourceTensor, contiguous_stride
from prenorm.errors import UnreadableCheckpoint
from prenorm.parts.equality import refuse_unequal
from prenorm.parts.shard_metadata import METADATA_KEYS, FlatParameter, ShardMetadata, clean
from prenorm.rules.derived import JoinedTensor

_TABLE = "encoder.sentence_encoder.embed_tokens.weight"


def refuse_lone_shard(content: Mapping[str, object], name: str) -> None:
    """Refuse a shard that has lost its name, and with it the others.

    Args:
        content: what the file holds.
        name: the file's name, for messages.

    Raises:
        UnreadableCheckpoint: if its tensors are flat pieces.
    """
    model = content.get("model")
    if not isinstance(model, dict):
        return
    flat = any(str(key).rpartition(".")[2].startswith("flat_param") for key in model)
    table = model.get(_TABLE)
    cut = isinstance(table, LazyTensor) and len(table.shape) == 1 and any(key in content for key in METADATA_KEYS)
    if flat or cut:
        raise UnreadableCheckpoint(
            "it is one of several FSDP shards, and its name does not say which",
            subject=name,
            advice="Put all shards beside it under fairseq's names for them, checkpoint_last-shard0.pt and so on",
        )


def join_shards(
    shards: Sequence[Mapping[str, LazyTensor]], metadata: Sequence[ShardMetadata], files: Sequence[str]
) -> dict[str, SourceTensor]:
    """Join the tensors of a state dict that lies in shards; a parameter may begin in one and end in another.

    Args:
        shards: each process's local state dict.
        metadata: what each says of itself.
        files: their names, for messages.

    Returns:
        The whole tensors by name.

    Raises:
        UnreadableCheckpoint: if the metadata and the tensors contradict each other or one another.
    """
    named = [_cleaned(shard, file) for shard, file in zip(shards, files, strict=True)]
    _refuse_different(named, metadata, files)
    whole: dict[str, SourceTensor] = {}
    for number, parameter in enumerate(metadata[0].parameters):
        locals_ = _locals(parameter.key, named, files)
        _check_sizes(parameter, locals_, [item.parameters[number].padding for item in metadata], files)
        whole |= dict(_cut(parameter, locals_))
    for first, other in metadata[0].shared:
        if first not in whole:
            raise _unfit(files[0], f"'{other[:80]}' is shared with '{first[:80]}', which is not there")
        whole[other] = whole[first]
    return whole | _rest(named, metadata[0], whole, files)


def _cleaned(shard: Mapping[str, LazyTensor], file: str) -> dict[str, LazyTensor]:
    named = {clean(key): tensor for key, tensor in shard.items()}
    if len(named) != len(shard):
        raise _unfit(file, "two tensors have one name")
    return named


def _refuse_different(
    named: Sequence[Mapping[str, LazyTensor]], metadata: Sequence[ShardMetadata], files: Sequence[str]
) -> None:
    """Refuse shards that have other tensors, or say anything else of them but paddings."""
    plain = [
        replace(item, parameters=tuple(replace(parameter, padding=0) for parameter in item.parameters))
        for item in metadata
    ]
    for item, tensors, file in zip(plain, named, files, strict=True):
        if item != plain[0]:
            raise _unfit(file, f"its fsdp_metadata is not that of {files[0]}")
        differing = sorted(tensors.keys() ^ named[0].keys())
        if differing:
            raise _unfit(file, f"it has other tensors than {files[0]}: '{differing[0][:80]}' is in one of them only")


def _locals(key: str, named: Sequence[Mapping[str, LazyTensor]], files: Sequence[str]) -> list[LazyTensor]:
    """Return a parameter's pieces, one of each shard: of one size and type, and dense."""
    pieces: list[LazyTensor] = []
    for tensors, file in zip(named, files, strict=True):
        tensor = tensors.get(key)
        if tensor is None:
            raise _unfit(file, f"its fsdp_metadata names '{key[:80]}', which it does not hold")
        if len(tensor.shape) != 1 or not tensor.is_contiguous:
            raise _unfit(
                file, f"'{key[:80]}' has shape {list(tensor.shape)}; a shard's parameter is one row of numbers"
            )
        first = pieces[0] if pieces else tensor
        if (tensor.shape, tensor.dtype) != (first.shape, first.dtype):
            raise _unfit(
                file,
                f"'{key[:80]}' is {tensor.dtype} of shape {list(tensor.shape)}, not {first.dtype} of "
                f"{list(first.shape)} as in {files[0]}",
            )
        pieces.append(tensor)
    return pieces


def _check_sizes(
    parameter: FlatParameter, locals_: Sequence[LazyTensor], paddings: Sequence[int], files: Sequence[str]
) -> None:
    """Hold what the metadata says against the numbers that are there.

    fairscale cuts N numbers for n processes into pieces of ceil(N / n) and fills up with zeros at the end
    (FullyShardedDataParallel._get_shard).
    """
    total, size, count = sum(parameter.numels), locals_[0].numel, len(locals_)
    if size != -(-total // count):
        raise _unfit(
            files[0],
            f"'{parameter.key[:80]}' should hold {total} numbers, and {count} shards of {size} are no even cut of them",
        )
    for number, (padding, file) in enumerate(zip(paddings, files, strict=True)):
        expected = size - min(max(total - number * size, 0), size)
        if padding != expected:
            raise _unfit(
                file, f"'{parameter.key[:80]}' is said to end in {padding} padding numbers; it ends in {expected}"
            )


def _cut(parameter: FlatParameter, locals_: Sequence[LazyTensor]) -> Iterator[tuple[str, SourceTensor]]:
    """Cut a flat parameter into those in it, each a view of one shard, or pieces of several joined."""
    size = locals_[0].numel
    start = 0
    for name, shape, count in zip(parameter.names, parameter.shapes, parameter.numels, strict=True):
        end = start + count
        pieces = tuple(
            locals_[number].narrow(
                max(start - number * size, 0), min(end, (number + 1) * size) - max(start, number * size)
            )
            for number in range(start // size, -(-end // size))
        )
        if len(pieces) == 1:
            yield name, replace(pieces[0], shape=shape, stride=contiguous_stride(shape))
        else:
            yield name, JoinedTensor(pieces, 0, shape)
        start = end


def _rest(
    named: Sequence[Mapping[str, LazyTensor]],
    metadata: ShardMetadata,
    whole: Mapping[str, SourceTensor],
    files: Sequence[str],
) -> dict[str, SourceTensor]:
    """Return what is no sharded parameter: buffers, the same in every shard, and second names of unflattened parameters."""
    keys = {parameter.key for parameter in metadata.parameters}
    single = {_place(named, item.key): item.names[0] for item in metadata.parameters if len(item.names) == 1}
    rest: dict[str, SourceTensor] = {}
    buffers: list[str] = []
    for key in named[0]:
        if key in keys:
            continue
        if key in whole:
            raise _unfit(files[0], f"'{key[:80]}' is there twice, whole and in shards")
        same = single.get(_place(named, key))
        if key in metadata.buffers:
            buffers.append(key)
            rest[key] = named[0][key]
        elif same is not None:
            rest[key] = whole[same]
        else:
            raise _unfit(files[0], f"its fsdp_metadata does not say what '{key[:80]}' is")
    refuse_unequal(buffers, named, files)
    return rest


def _place(named: Sequence[Mapping[str, LazyTensor]], key: str) -> tuple[object, ...] | None:
    """Tell where in each shard a tensor lies, so that one saved under two names is known."""
    if not all(key in tensors for tensors in named):
        return None
    return tuple((tensors[key].place, tensors[key].shape, tensors[key].dtype) for tensors in named)


def _unfit(file: str, what: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(what, subject=file, advice="The shards are damaged, or of different runs")
