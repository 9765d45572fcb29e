"""The files of a run's folder, by checkpoint: which belong together, which come first, what their folders are called."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.files import or_nearest
from prenorm.options.language import command_name
from prenorm.options.spoken import spoken
from prenorm.parts.names import PartName, folder_name

# How fairseq calls them: checkpoint12.pt after an epoch, checkpoint_12_5000.pt after an interval, checkpoint_best.pt (with
# --keep-best-checkpoints checkpoint.best_loss_4.05.pt, too), checkpoint_last.pt. The first of a row that fits counts.
_RANKS = tuple(map(re.compile, (r"checkpoint(_\d+)?_?\d+", r"checkpoint[._]best.*", r"checkpoint_last")))


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint, which may be several.

    Attributes:
        paths: the files; the one that names the checkpoint first.
    """

    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The name of the file that is opened: the others are found beside it."""
        return self.paths[0].name

    @property
    def stem(self) -> str:
        """What the files of the checkpoint have in common."""
        return folder_name(self.name)

    @property
    def rank(self) -> int:
        """Which of the names of one checkpoint is its own: a numbered one before that of the best and of the last."""
        return next((rank for rank, pattern in enumerate(_RANKS) if pattern.fullmatch(self.stem)), len(_RANKS))


def find_checkpoints(run: Path, match: str) -> list[CheckpointFiles]:
    """List the checkpoints of a run's folder; shards and model-parallel parts of one checkpoint count as one.

    Args:
        run: the folder.
        match: a pattern, as shells have them, of the names of files; a checkpoint in several files is taken if one matches.

    Returns:
        The checkpoints, by name.

    Raises:
        UsageProblem: if it is no folder, cannot be read, or holds none.
    """
    names = _files(run)
    families: dict[object, list[str]] = {}
    for name in names:
        part = PartName.of(name)
        families.setdefault(name if part is None else part.family, []).append(name)
    chosen = [family for family in families.values() if any(fnmatchcase(name, match) for name in family)]
    if not chosen:
        others = f"; it has {len(names)} other files" if names else ""
        raise UsageProblem(
            f"holds no checkpoint: no file is called {match}{others}",
            subject=run,
            advice=f"Give the folder that fairseq saved to (--save-dir), or choose others with {spoken('match', ...)}",
        )
    return [CheckpointFiles(tuple(run / name for name in sorted(family, key=_part_order))) for family in chosen]


def _files(run: Path) -> list[str]:
    try:
        with os.scandir(run) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
    except FileNotFoundError as error:
        advice = or_nearest(run, "Give the folder that fairseq saved to (--save-dir)")
        raise UsageProblem("there is no such folder", subject=run, advice=advice) from error
    except NotADirectoryError as error:
        advice = f"Give the folder that it lies in; {command_name('convert')} takes one checkpoint"
        raise UsageProblem("is a file, and a run is a folder of checkpoints", subject=run, advice=advice) from error
    except OSError as error:
        advice = "Check its permissions"
        raise UsageProblem(f"cannot be read ({error.strerror})", subject=run, advice=advice) from error


def _part_order(name: str) -> tuple[int, int, str]:
    part = PartName.of(name)
    return (0, 0, name) if part is None else (part.part or 0, part.shard or 0, name)


def step_name(updates: int | None, stem: str) -> str:
    """Return what a member's folder is called.

    Args:
        updates: how many the checkpoint records; None where it records none.
        stem: of its files, which stands for the updates then.

    Returns:
        Such as `step-005000`: at least six digits, so that names are in the order of updates up to a million.
    """
    return f"step-{stem}" if updates is None else f"step-{updates:06d}"


def distinct_names(updates: Sequence[int | None], stems: Sequence[str]) -> list[str]:
    """Return what the members' folders are called; of those with the same updates all but the first have their stem, too.

    Args:
        updates: of each member.
        stems: of each member's files.

    Returns:
        A name for each member, all different.
    """
    names: list[str] = []
    for count, stem in zip(updates, stems, strict=True):
        name = step_name(count, stem)
        names.append(name if name not in names else f"{name}-{stem}")
    return names
