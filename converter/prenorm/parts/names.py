"""The names of the files that one checkpoint lies in: what each says, and which belong together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

# fairseq names them checkpoint_last-model_part-0.pt (model parallel), checkpoint_last-shard0.pt (FSDP with
# --use-sharded-state), and where both are used checkpoint_last-model_part-0-shard0.pt.
_NUMBER = r"(0|[1-9][0-9]{0,5})"
_NAME = re.compile(rf"(?P<stem>.+?)(?:-model_part-(?P<part>{_NUMBER}))?(?:-shard(?P<shard>{_NUMBER}))?\.pt")


@dataclass(frozen=True)
class PartName:
    """What a file's name says: `part` and `shard` are None where the name speaks of none."""

    stem: str
    part: int | None
    shard: int | None

    @classmethod
    def of(cls, name: str) -> PartName | None:
        """Read a file's name.

        Args:
            name: the file's name, without folders.

        Returns:
            What it says, or None for the name of a checkpoint in one file.
        """
        matched = _NAME.fullmatch(name)
        if matched is None or (matched["part"] is None and matched["shard"] is None):
            return None
        part, shard = matched["part"], matched["shard"]
        return cls(matched["stem"], None if part is None else int(part), None if shard is None else int(shard))

    @property
    def family(self) -> tuple[str, bool, bool]:
        """What the names of all files of one checkpoint have in common."""
        return self.stem, self.part is not None, self.shard is not None

    def sibling(self, part: int, shard: int) -> str:
        """Return the name of another file of the same checkpoint.

        Args:
            part: the number of its model-parallel part; ignored where the names speak of none.
            shard: the number of its FSDP shard; ignored where the names speak of none.

        Returns:
            The file's name.
        """
        parts = f"-model_part-{part}" if self.part is not None else ""
        return f"{self.stem}{parts}" + (f"-shard{shard}.pt" if self.shard is not None else ".pt")


def are_siblings(name: str, other: str) -> bool:
    """Say whether two file names are of one checkpoint in several files.

    Args:
        name: a file's name, without folders.
        other: another file's name in the same folder.

    Returns:
        True if both name parts or shards of the same checkpoint.
    """
    one, another = PartName.of(name), PartName.of(other)
    return one is not None and another is not None and one.family == another.family


def folder_name(name: str) -> str:
    """Return the name of the folder that a checkpoint is converted to where nobody says another.

    Args:
        name: the file's name, without folders.

    Returns:
        `checkpoint_best` for checkpoint_best.pt, and for each of its parts and shards.
    """
    matched = _NAME.fullmatch(name)
    stem = matched["stem"] if matched is not None else PurePath(name).stem
    return stem if stem != name else f"{name}-model"
