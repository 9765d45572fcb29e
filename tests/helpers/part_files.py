"""Checkpoints in several files, for tests: edited copies of the fixtures' folders, and small shards cut as fairscale cuts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.checkpoints import load_trusted
from helpers.variants import VARIANTS

FSDP = ("fsdp-shards", "fsdp-shards-one-wrapper", "fsdp-shards-unflattened", "fsdp-shards-old-metadata")
PARALLEL = ("model-parallel-parts", "model-parallel-shards")
SHARD = "checkpoint_last-shard{}.pt"
PART = "checkpoint_last-model_part-{}.pt"
ENCODER = "encoder.sentence_encoder."
Edit = Callable[[dict[str, Any]], object]


def files_of(name: str) -> list[Path]:
    """The files of a fixture's checkpoint."""
    return sorted((VARIANTS / name).glob("checkpoint_last*.pt"))


def copy(name: str, folder: Path, edit: Edit | None = None, only: str = "", **options: Any) -> Path:
    """A copy of a fixture in `folder`, with `edit` done to all files, or to the one named `only`; returns the first file."""
    for path in files_of(name):
        if edit is not None and only in ("", path.name):
            content = load_trusted(path)
            edit(content)
            torch.save(content, folder / path.name, **options)
        else:
            shutil.copyfile(path, folder / path.name)
    shutil.copyfile(VARIANTS / name / "dict.txt", folder / "dict.txt")
    return folder / files_of(name)[0].name


def save_shards(folder: Path, tensors: dict[str, Tensor], count: int, buffers: dict[str, Tensor] | None = None) -> Path:
    """`tensors` as one flat parameter in `count` shards, by the same steps as fairscale's `_get_shard`."""
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors.values()])
    pieces = list(flat.chunk(count))
    pieces += [flat.new_empty(0)] * (count - len(pieces))
    for rank, piece in enumerate(pieces):
        padding = pieces[0].numel() - piece.numel()
        save_shard(
            folder / SHARD.format(rank), torch.nn.functional.pad(piece, [0, padding]), padding, tensors, buffers or {}
        )
    return folder / SHARD.format(0)


def save_shard(path: Path, piece: Tensor, padding: int, tensors: dict[str, Tensor], buffers: dict[str, Tensor]) -> None:
    """One shard with fairscale's metadata."""
    parameter = {
        "names": list(tensors), "shapes": [tensor.shape for tensor in tensors.values()],
        "numels": [tensor.numel() for tensor in tensors.values()], "padding": padding,
    }  # fmt: skip
    wrapper = {"fsdp_path": "", "params": {"flat_param_0": parameter}, "no_broadcast_optim_state": False}
    metadata = {"param_metadata": [{**wrapper, "shared_param_info": []}], "buffer_names": list(buffers)}
    torch.save({"model": {"flat_param_0": piece, **buffers}, "fsdp_metadata": metadata}, path)


def parameter_facts(content: dict[str, Any], wrapper: int = 0) -> dict[str, Any]:
    """What a shard's metadata says of a wrapper's flat parameter."""
    facts: dict[str, Any] = content["fsdp_metadata"]["param_metadata"][wrapper]["params"]["flat_param_0"]
    return facts


def plain_checkpoint(path: Path, content: dict[str, Any], tensors: dict[str, Tensor], drop: Sequence[str] = ()) -> Path:
    """An ordinary checkpoint in one file, with the arguments of `content` and these weights."""
    kept = {key: value for key, value in content.items() if key not in ("fsdp_metadata", *drop)}
    torch.save({**kept, "model": tensors}, path)
    return path
