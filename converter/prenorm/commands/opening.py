"""Where a checkpoint comes from: a file here, or one on the Hub, which is brought here first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prenorm.checkpoint import Checkpoint
from prenorm.hub.addresses import hub_file
from prenorm.parts import are_siblings, open_checkpoint
from prenorm.progress import Progress


def open_source(place: str | Path, progress: Progress | None = None) -> Checkpoint:
    """Opens a checkpoint without running anything it carries.

    Args:
        place: a file, or `hf://org/name/path.pt[@revision]`. On the Hub `dict.txt` beside it comes along.

    Raises:
        UsageProblem: if there is no such file.
        UnreadableCheckpoint: if it is no checkpoint, damaged, or made to do harm.
        HubProblem: if the Hub does not hand it out.
    """
    file = hub_file(str(place))
    if file is None:
        return open_checkpoint(place)
    from prenorm.hub.download import download_checkpoint

    path, origin = download_checkpoint(file, progress=progress, are_siblings=are_siblings)
    return replace(open_checkpoint(path), origin=origin.to_dict(), announced=origin.sha256)
