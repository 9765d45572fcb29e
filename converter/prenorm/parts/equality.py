"""Tensors that every part holds whole must be the same in all of them, bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prenorm.checkpoint.dtypes import byte_count
from prenorm.checkpoint.sameness import fetch_to_compare, have_same_bytes
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import HARM, UnreadableCheckpoint


def refuse_unequal(keys: Iterable[str], parts: Sequence[Mapping[str, SourceTensor]], files: Sequence[str]) -> None:
    """Compare tensors that all parts hold whole.

    Args:
        keys: their names.
        parts: the tensors of each part.
        files: the parts' names, for messages.

    Raises:
        UnreadableCheckpoint: naming the first tensor that differs.
    """
    keys = list(keys)
    # Reading them costs what they claim to hold, which for a file made to do harm could be many times its size.
    for part, file in zip(parts, files, strict=True):
        claimed = sum(byte_count(part[key].dtype, part[key].shape) for key in keys)
        held = sum({id(view.file): view.file.size for key in keys for view in part[key].views}.values())
        if claimed > held:
            raise UnreadableCheckpoint(
                f"its tensors claim {claimed} bytes, more than the file has", subject=file, advice=HARM
            )
    fetch_to_compare(part[key] for key in keys for part in parts)
    for key in keys:
        for part, file in zip(parts[1:], files[1:], strict=True):
            if not have_same_bytes(parts[0][key], part[key]):
                raise UnreadableCheckpoint(
                    f"'{key[:120]}' is not what it is in {files[0]}, though every part holds it whole",
                    subject=file,
                    advice="The parts are of different runs or damaged, or the processes drifted apart in training",
                )
