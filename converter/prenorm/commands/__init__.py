"""Verification: any folder, ours or anybody's, held against the checkpoint it is said to come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prenorm.errors import UsageProblem

if TYPE_CHECKING:
    from prenorm.reports.model import Report


def judge(
    paths: Sequence[str | Path],
    *,
    golden: Path | None = None,
    folder_only: bool = False,
    runtime: str = "bundled",
    **options: Any,
) -> Report:
    """The report on a folder, by a checkpoint, by a golden file, or by whether it works.

    Args:
        paths: checkpoint and folder, or the folder alone.

    Raises:
        UsageProblem: unless there is one thing to judge by.
    """
    if (len(paths) == 2) + (golden is not None) + folder_only != 1 or len(paths) > 2:
        raise UsageProblem(
            "verify needs one thing to judge by: a CHECKPOINT, a file of prenorm record with --golden, or --folder-only",
            advice="prenorm verify CHECKPOINT FOLDER, or verify FOLDER --golden FILE, or verify FOLDER --folder-only",
        )
    if folder_only:
        from prenorm.fitness import judge_folder

        return judge_folder(paths[0], revision=options.get("revision"))
    if golden is not None:
        if options.get("compute", "float64") != "float64":
            raise UsageProblem("a golden file is judged in float64", subject="--compute", advice="Leave it out")
        from prenorm.commands.record import verify_golden

        return verify_golden(paths[0], golden, runtime=runtime, revision=options.get("revision"))
    from prenorm.commands.verify import verify

    return verify(*paths, runtime=runtime, **options)
