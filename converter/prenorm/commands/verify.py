"""`verify`: a folder against its checkpoint. It reads only, and lists everything that disagrees.

The checkpoint's checksum is begun before what computes is imported: that takes torch most of a second on one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.convert import Options, Prepared, prepare
from prenorm.commands.opening import open_source
from prenorm.folder.digests import Digests
from prenorm.progress import Progress, Silent

if TYPE_CHECKING:
    from prenorm.reports.model import ParityReport


def verify(
    checkpoint: str | Path,
    folder: str | Path,
    *,
    runtime: str = "bundled",
    compute: str = "float64",
    revision: str | None = None,
    progress: Progress | None = None,
    **options: object,
) -> ParityReport:
    """Judges a folder; nothing is written.

    Args:
        checkpoint: the file that fairseq or DinkyTrain saved; on the Hub, `hf://org/name/path.pt[@revision]`.
        folder: a local model folder or a repo id of the Hub, by whoever made it.
        runtime: what computes the folder: `bundled`, `transformers` (the installed one), or `both`.
        compute: what the folder computes in: `float64`, or `float32`, which is judged by its rounding as measured.
        revision: branch, tag or commit of a repo.
        options: as for `convert`; `task` is the folder's own unless given.

    Raises:
        UsageProblem, NotRepresentable, UnreadableCheckpoint, HubProblem: as for `convert`.
    """
    watch = progress or Silent()
    chosen = Options.given(**options)
    opened = open_source(checkpoint, watch)

    def prepared(options: Options, rows: int | None) -> Prepared:
        return prepare(opened, options, rows)

    with Digests(opened) as digests, tempfile.TemporaryDirectory(prefix="prenorm-") as scratch:
        from prenorm.commands.verify_by_checkpoint import judge_published
        from prenorm.folder.published import open_published

        published = open_published(folder, Path(scratch), revision)
        return judge_published(prepared, published, chosen, runtime, compute, digests, watch)
