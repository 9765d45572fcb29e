"""`verify --folder-only`: whether a folder works where people use it, without its checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.opening import open_folder
from prenorm.files import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from prenorm.options import FolderOnlyOptions
from prenorm.reports.model import Check

if TYPE_CHECKING:
    from prenorm.folder.published import Published
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
    from prenorm.reports.making import with_unjudged

    options.listener.stage("Trying out", 1)
    with tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        published = open_folder(options.folder, Path(scratch), options.revision, options.progress)
        report = judge_folder(published)
        return with_unjudged(report, _unjudged(published))


def _unjudged(published: Published) -> list[Check]:
    """Return what a trial cannot judge: the values themselves, the tokenizer's ids, and the files that no reader tries."""
    from prenorm.proof import NO_TOKENIZER, not_judged, unjudged_files

    values = (
        "nothing here says what the checkpoint computes, and what its tokenizer makes of a text; give CHECKPOINT, or a file "
        "of prenorm record with --golden"
    )
    rows = [Check.not_judged("parity", values, counts=False)]
    has_tokenizer = (published.path / TOKENIZER_FILE).is_file()
    if not has_tokenizer:
        rows.append(not_judged(NO_TOKENIZER))
    judged = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, "special_tokens_map.json") if has_tokenizer else ()
    return [*rows, *unjudged_files(published, judged)]
