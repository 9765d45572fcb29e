"""What a report can say of a checkpoint's bytes: the whole file's checksum, or what of it was read, and the sum of that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prenorm.checkpoint import Checkpoint, MappedFile, RangedFile, SourceTensor
from prenorm.checkpoint.container.mapped_file import ByteRange
from prenorm.checkpoint.tensors import storages
from prenorm.errors import UnreadableCheckpoint
from prenorm.files import pieces_of, sha256_of


@dataclass(frozen=True)
class TensorSum:
    """The checksum of the bytes of tensors.

    Attributes:
        size: how many bytes.
        sha256: of the storages that the tensors lie in, each once, in the order in which they lie in the file.
    """

    size: int
    sha256: str


def tensor_sum(file: MappedFile, spans: Iterable[ByteRange], is_stopped: Callable[[], bool] | None = None) -> TensorSum:
    """Hash storages.

    Args:
        file: that they lie in.
        spans: where, in order.
        is_stopped: says whether nobody waits for the result any more; None: somebody does.

    Returns:
        The sum.
    """
    digest, size = hashlib.sha256(), 0
    for span in spans:
        size += span.size
        for chunk in file.chunks(span):
            digest.update(chunk)
        if is_stopped is not None and is_stopped():
            break
    return TensorSum(size, digest.hexdigest())


def file_facts(
    checkpoint: Checkpoint, file: MappedFile, sha256: str | None, tensors: TensorSum | None
) -> dict[str, object]:
    """Return what a report says of one file's bytes.

    Args:
        checkpoint: that the file is of.
        file: the file.
        sha256: of the whole file; None if not all of it was read.
        tensors: the sum of the tensors that were read, then; None: there are none in this file.

    Returns:
        `sha256`; or `announced_sha256`, which was compared with nothing, and `seen`.

    Raises:
        UnreadableCheckpoint: if the whole file is not the one that the Hub announced.
    """
    announced = checkpoint.announced.get(file.name)
    if sha256 is not None:
        if announced not in (None, sha256):
            file.distrust()
            raise UnreadableCheckpoint(
                "did not arrive as it is on the Hub: its SHA-256 differs",
                subject=file.path,
                advice="Remove it from the cache of huggingface_hub, and try again",
            )
        return {"sha256": sha256}
    assert isinstance(file, RangedFile)
    tensors = tensors or tensor_sum(file, ())
    seen = {"bytes": file.seen.total, "tensor_bytes": tensors.size, "tensor_sha256": tensors.sha256}
    return {"announced_sha256": announced, "seen": seen}


def source_facts(checkpoint: Checkpoint, tensors: Iterable[SourceTensor]) -> dict[str, object]:
    """Hash a checkpoint's first file, or what was read of it.

    Args:
        checkpoint: the checkpoint.
        tensors: those of its tensors that were read; of files that were not read whole they are held against the
            container's checksums, too.

    Returns:
        What a report says of the file's bytes.

    Raises:
        UnreadableCheckpoint: if the file is not the one that the Hub announced, or was damaged after it was written.
    """
    tensors = list(tensors)
    views = {(view.file, view.span): view for tensor in tensors for view in tensor.views if not view.file.is_whole}
    for view in views.values():
        checkpoint.check_integrity(view)
    file = checkpoint.file
    if file.is_whole:
        return file_facts(checkpoint, file, sha256_of(pieces_of(file.path)), None)
    return file_facts(checkpoint, file, None, tensor_sum(file, storages(tensors).get(file, ())))
