"""`verify --folder-only`: whether a folder works where people use it, without its checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.keywords import takes_keywords_alone
from prenorm.commands.opening import open_folder
from prenorm.options import FolderOnlyOptions, StrPath

if TYPE_CHECKING:
    from prenorm.fitness.finding import FitnessReport


@takes_keywords_alone(FolderOnlyOptions)
def verify_folder(folder: StrPath, options: FolderOnlyOptions) -> FitnessReport:
    """Try a folder out in everything that its readers use.

    Args:
        folder: a local model folder or a repo id of the Hub.
        options: which revision of a repo.

    Returns:
        The report, whatever its verdict.

    Raises:
        UsageProblem: if the folder is none, or what it is tried out in is not installed.
        UnreadableCheckpoint: if its pickled weights are damaged or unsafe.
        HubProblem: if the Hub does not have the folder.
    """
    from prenorm.fitness import judge_folder, require_transformers

    require_transformers()
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        return judge_folder(open_folder(folder, Path(scratch), options.revision, options.progress))
