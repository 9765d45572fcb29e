"""Tensors that every part holds whole must be the same in all of them, bit by bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from prenorm.checkpoint.dtypes import byte_count
from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UnreadableCheckpoint


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
                f"its tensors claim {claimed} bytes, more than the file has",
                subject=file,
                advice="The file is damaged or was made to do harm",
            )
    for key in keys:
        first = _fingerprint(parts[0][key])
        for part, file in zip(parts[1:], files[1:], strict=True):
            if _fingerprint(part[key]) != first:
                raise UnreadableCheckpoint(
                    f"'{key[:120]}' is not what it is in {files[0]}, though every part holds it whole",
                    subject=file,
                    advice="The parts are of different runs or damaged, or the processes drifted apart in training",
                )


def _fingerprint(tensor: SourceTensor) -> tuple[str, tuple[int, ...], str]:
    """Type, shape and a digest of the bytes: no tensor is held in memory to be compared with another."""
    digest = hashlib.sha256()
    for piece in tensor.chunks():
        digest.update(piece)
    tensor.release()
    return tensor.dtype, tensor.shape, digest.hexdigest()
