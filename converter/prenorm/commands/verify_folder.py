"""`verify --folder-only`: whether a folder works where people use it, without its checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.opening import open_folder
from prenorm.options import FolderOnlyOptions

if TYPE_CHECKING:
    from prenorm.reports.model import Report


def verify_folder(options: FolderOnlyOptions) -> Report:
    """Try a folder out in everything that its readers use.

    Args:
        options: which folder, and which revision of a repo.

    Returns:
        The report, whatever its verdict.

    Raises:
        UsageProblem: if the folder is none, or what it is tried out in is not installed.
        UnreadableCheckpoint: if its pickled weights are damaged or unsafe.
        HubProblem: if the Hub does not have the folder.
    """
    from prenorm.fitness import judge_folder, require_transformers

    require_transformers()
    options.listener.stage("Trying out", 1)
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        return judge_folder(open_folder(options.folder, Path(scratch), options.revision, options.progress))
