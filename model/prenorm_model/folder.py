"""The weight files of a folder: which there are, by the index or alone, and what a writer leaves behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prenorm_model.hub import find_file

WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"


def weight_files(
    folder_or_repo: str | Path, name: str = WEIGHTS_FILE, index: str = INDEX_FILE, *, revision: str | None = None
) -> list[Path]:
    """Return the files that hold the weights: those that the index names, else the one file.

    Args:
        folder_or_repo: a folder on disk, or a repo's id on the Hub.
        name: the file's name, where one holds all weights.
        index: the index's name, where several do.
        revision: branch, tag or commit of the repo.

    Returns:
        Their paths, sorted by name; none if the folder has neither index nor file.

    Raises:
        ValueError: if the index is no index, or names a file outside the folder.
        FileNotFoundError: if a file that the index names is missing.
    """
    listing = find_file(folder_or_repo, index, revision=revision)
    if listing is None:
        single = find_file(folder_or_repo, name, revision=revision)
        return [] if single is None else [single]
    content = json.loads(listing.read_text(encoding="utf-8"))
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ValueError(f"{listing} has no weight_map")
    shards = sorted(set(weight_map.values()))
    if any(Path(shard).name != shard for shard in shards):
        raise ValueError(f"{listing} names a file outside the folder")
    paths = []
    for shard in shards:
        path = find_file(folder_or_repo, shard, revision=revision)
        if path is None:
            raise FileNotFoundError(f"{folder_or_repo} has no {shard}, which {index} names")
        paths.append(path)
    return paths


def write_index(folder: Path, metadata: Mapping[str, Any], weight_map: Mapping[str, str]) -> None:
    """Write the index of weights that lie in several files.

    Args:
        folder: the folder of the files.
        metadata: facts about all of them, such as their size in bytes.
        weight_map: the file's name of every weight.
    """
    index = {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def remove_weights(folder: Path) -> None:
    """Remove the weights of an earlier save, which a loader could take for this one's: index, shards, a single file.

    Args:
        folder: the folder that is about to be written.
    """
    for path in (*folder.glob("model.safetensors*"), *folder.glob("model-*-of-*.safetensors")):
        path.unlink()


def follow_umask(path: Path) -> None:
    """Give a file the mode that new files have: safetensors 0.8 leaves 0600, which no web server and no colleague can read.

    Args:
        path: the file.
    """
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
