"""Whether files are parts of one checkpoint: of one run, of the same moment, each at its own place."""

from __future__ import annotations

from collections.abc import Sequence

from prenorm.checkpoint import Checkpoint
from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import UnreadableCheckpoint
from prenorm.parts.grid import PartFiles, recorded
from prenorm.source.arguments import Arguments

# What all processes of a run record alike, with the section that holds it; sizes and what tells runs apart.
_COMMON = (
    ("arch", "model"), ("encoder_layers", "model"), ("encoder_embed_dim", "model"), ("encoder_ffn_embed_dim", "model"),
    ("encoder_attention_heads", "model"), ("max_positions", "model"), ("activation_fn", "model"), ("seed", "common"),
    ("model_parallel_size", "common"), ("distributed_world_size", "distributed_training"),
)  # fmt: skip


def check_agreement(files: Sequence[Checkpoint], arguments: Sequence[Arguments]) -> None:
    """Refuse files that are of different runs or of different moments of one.

    Args:
        files: the files, in order.
        arguments: what each records.

    Raises:
        UnreadableCheckpoint: naming the file that differs from the first, and in what.
    """
    first, *others = map(_facts, files, arguments)
    for file, facts in zip(files[1:], others, strict=True):
        differences = [
            f"{name} is {shown(value)}, not {shown(first[name])}"
            for name, value in facts.items()
            if value != first[name]
        ]
        if differences:
            raise UnreadableCheckpoint(
                f"it is of another run than {files[0].file.name}, or of another moment of it",
                subject=file.file.name,
                problems=differences,
                advice="Put the files that one run saved at one moment together:",
            )


def check_rank(file: Checkpoint, arguments: Arguments, *, part: int, shard: int, grid: PartFiles) -> None:
    """Refuse a file that another process saved than its name says: a copy, or renamed.

    Megatron numbers the processes of one model consecutively; so process = shard * parts + part.

    Args:
        file: the file.
        arguments: what it records.
        part: its model-parallel part, by its name.
        shard: its FSDP shard, by its name.
        grid: all files of the checkpoint.

    Raises:
        UnreadableCheckpoint: if it records the number of another process.
    """
    rank = recorded(arguments, "distributed_training", "distributed_rank")
    expected = shard * len(grid.paths) + part
    if rank is not None and rank != expected:
        raise UnreadableCheckpoint(
            f"process {rank} of the run saved it (distributed_rank), not process {expected}, whose name it has",
            subject=file.file.name,
            advice="The file was renamed, or is a copy of another part",
        )


def _facts(file: Checkpoint, arguments: Arguments) -> dict[str, object]:
    facts = {name: _plain(arguments.find(name, section)) for name, section in _COMMON}
    history = file.content.get("optimizer_history")
    last = history[-1] if isinstance(history, list) and history else None
    facts["num_updates"] = _plain(last.get("num_updates")) if isinstance(last, dict) else None
    return facts


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str) or value is None else shown(value)
