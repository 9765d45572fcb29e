"""`verify`: a folder against its checkpoint. It reads only, and lists everything that disagrees.

The checkpoint's checksum is begun before what computes is imported: that takes torch most of a second on one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.keywords import takes_keywords
from prenorm.commands.opening import open_source
from prenorm.folder.digests import Digests
from prenorm.mapping.understood import Prepared, prepare
from prenorm.options import SourceOptions, StrPath, VerifyOptions

if TYPE_CHECKING:
    from prenorm.reports.model import Report


@takes_keywords(VerifyOptions)
def verify(checkpoint: StrPath, folder: StrPath, options: VerifyOptions) -> Report:
    """Judge a folder by its checkpoint; nothing is written.

    Args:
        checkpoint: the file that fairseq or DinkyTrain saved; on the Hub, `hf://org/name/path.pt[@revision]`.
        folder: a local model folder or a repo id of the Hub, by whoever made it.
        options: as for `convert`; `task` is the folder's own unless it is chosen.

    Returns:
        The report, whatever its verdict.

    Raises:
        UsageProblem: as for `convert`.
        NotRepresentable: as for `convert`.
        UnreadableCheckpoint: as for `convert`.
        HubProblem: as for `convert`.
    """
    opened = open_source(checkpoint, options.progress)

    def prepared(options: SourceOptions, rows: int | None) -> Prepared:
        return prepare(opened, options, rows)

    with Digests(opened) as digests, tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        from prenorm.commands.verify_by_checkpoint import judge_published
        from prenorm.folder.published import open_published

        published = open_published(folder, Path(scratch), options.revision)
        return judge_published(prepared, published, options, digests)
