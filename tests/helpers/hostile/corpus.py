"""Every hostile file by name. By hand: `PYTHONPATH=tests python -m helpers.hostile.corpus FOLDER` writes them all."""

from __future__ import annotations

import sys
from pathlib import Path

from . import arguments, bombs, counts, legacies, payloads, tensors, zip_ends, zips
from .registry import CONVERTED, REFUSED, HostileFile

__all__ = ["CONVERTED", "REFUSED", "file_name", "write_all"]

FAMILIES = (
    arguments,
    bombs,
    counts,
    legacies,
    payloads,
    tensors,
    zip_ends,
    zips,
)  # importing each one fills the tables


def file_name(item: HostileFile) -> str:
    """The name of the file on disk."""
    return item.name.replace("/", "--") + ".pt"


def write_all(folder: Path) -> int:
    """Writes every file into `folder`; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in (*REFUSED.values(), *CONVERTED.values()):
        item.write(folder / file_name(item))
    return len(REFUSED) + len(CONVERTED)


if __name__ == "__main__":
    print(f"{write_all(Path(sys.argv[1]))} files")
