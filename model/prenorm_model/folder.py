"""The weight files of a folder: which there are, by the index or alone, and what a writer leaves behind."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prenorm_model.hub import Location

WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"


def variant_name(name: str, variant: str | None) -> str:
    """Return the name of a file of weights of a variant, such as `model.fp16.safetensors`.

    Args:
        name: the name without one.
        variant: the variant; None: none.

    Returns:
        The name, with the variant before its last ending.

    Raises:
        ValueError: if the variant cannot be a part of a name.
    """
    if variant is not None and not re.fullmatch(r"[\w.-]+", variant):
        raise ValueError(f"variant is {variant!r}; a part of a file's name has letters, digits, '.', '-' and '_'")
    stem, _, ending = name.rpartition(".")
    return name if variant is None else f"{stem}.{variant}.{ending}"


def weight_files(
    location: Location | Path, name: str = WEIGHTS_FILE, index: str = INDEX_FILE, *, variant: str | None = None
) -> list[Path]:
    """Return the files that hold the weights: the one file, else those that the index names.

    Args:
        location: a folder on disk, or where else the files are.
        name: the file's name, where one holds all weights.
        index: the index's name, where several do.
        variant: the variant of the weights, a part of the files' names; None: the weights themselves.

    Returns:
        Their paths, sorted by name; none if the folder has neither file nor index.

    Raises:
        ValueError: if the index is no index, or names a file outside the folder.
        FileNotFoundError: if a file that the index names is missing.
    """
    if isinstance(location, Path):
        location = Location(location)
    single = location.find(variant_name(name, variant))
    if single is not None:
        return [single]
    listing = location.find(variant_name(index, variant))
    if listing is None:
        return []
    content = json.loads(listing.read_text(encoding="utf-8"))
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ValueError(f"{listing} has no weight_map")
    shards = sorted(set(weight_map.values()))
    if any(Path(shard).name != shard for shard in shards):
        raise ValueError(f"{listing} names a file outside the folder")
    paths = [location.find(shard) for shard in shards]
    missing = [shard for shard, path in zip(shards, paths, strict=True) if path is None]
    if missing:
        raise location.missing(*missing)
    return [path for path in paths if path is not None]


def write_index(
    folder: Path, metadata: Mapping[str, Any], weight_map: Mapping[str, str], variant: str | None = None
) -> str:
    """Write the index of weights that lie in several files.

    Args:
        folder: the folder of the files.
        metadata: facts about all of them, such as their size in bytes.
        weight_map: the file's name of every weight.
        variant: the variant of the weights.

    Returns:
        The file's name.
    """
    name = variant_name(INDEX_FILE, variant)
    index = {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}
    (folder / name).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return name


def shard_pattern(variant: str | None) -> str:
    """Return the name of files of weights that are numbered where there are several.

    Args:
        variant: the variant of the weights; None: none.

    Returns:
        The name, with "{suffix}" where the number goes.
    """
    return variant_name(WEIGHTS_FILE, variant).removesuffix(".safetensors") + "{suffix}.safetensors"


def weight_patterns(variant: str | None) -> list[str]:
    """Return the patterns of the names that files of weights can have: one file, or shards and their index.

    Args:
        variant: the variant of the weights.

    Returns:
        Patterns as `fnmatch` knows them.
    """
    single, index = (glob.escape(variant_name(name, variant)) for name in (WEIGHTS_FILE, INDEX_FILE))
    stem = single.removesuffix(".safetensors")
    number = "[0-9]" * 5
    return [single, index, f"{stem}-{number}-of-{number}.safetensors"]


def remove_weights(folder: Path, variant: str | None = None) -> None:
    """Remove the weights of an earlier save, which a loader could take for this one's: index, shards, a single file.

    Args:
        folder: the folder that is about to be written.
        variant: the variant of the weights; others stay.
    """
    for pattern in weight_patterns(variant):
        for path in folder.glob(pattern):
            path.unlink()


def follow_umask(path: Path) -> None:
    """Give a file the mode that new files have: safetensors 0.8 leaves 0600, which no web server and no colleague can read.

    Args:
        path: the file.
    """
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
