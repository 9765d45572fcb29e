"""The dictionary that lies beside a checkpoint, where nobody asked for it."""

from __future__ import annotations

from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.tokenization.dictionary import check_rows, fill_up, find_dictionary, read_dictionary


def unfit_neighbour(source: Path, rows: int, multiple: int) -> str | None:
    """Tell what is wrong with the dictionary beside a checkpoint.

    Args:
        source: the checkpoint's path.
        rows: how many rows the model's embedding has.
        multiple: what fairseq filled the dictionary up to a multiple of, for this model.

    Returns:
        The fault in words; None if it fits, or there is none.
    """
    path = find_dictionary(source, None)
    if path is None:
        return None
    try:
        check_rows(fill_up(read_dictionary(path), rows, multiple), rows)
    except UsageProblem as problem:
        return problem.cause
    return None
