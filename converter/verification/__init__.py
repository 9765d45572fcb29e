"""Verification: any folder, ours or anybody's, held against the checkpoint it is said to come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.errors import UsageProblem

if TYPE_CHECKING:
    from converter.parity.report import ParityReport


def judge(
    paths: Sequence[str | Path], *, golden: Path | None = None, runtime: str = "bundled", **options: Any
) -> ParityReport:
    """The report on a folder, by a checkpoint or by a golden file.

    Args:
        paths: checkpoint and folder, or the folder alone.

    Raises:
        UsageProblem: unless there is one thing to judge by.
    """
    if len(paths) != (2 if golden is None else 1):
        raise UsageProblem(
            "verify needs one thing to judge by: a CHECKPOINT, or a file of prenorm record with --golden",
            advice="prenorm verify CHECKPOINT FOLDER, or prenorm verify FOLDER --golden FILE",
        )
    if golden is not None:
        from converter.verification.record import verify_golden

        return verify_golden(paths[0], golden, runtime=runtime, revision=options.get("revision"))
    from converter.verification.verify import verify

    return verify(*paths, runtime=runtime, **options)
