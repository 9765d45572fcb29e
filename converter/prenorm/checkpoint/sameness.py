"""Whether two tensors are the same: one place in a file, the same bytes, or the same checksum where that has to do."""

from __future__ import annotations

from collections.abc import Iterable

from prenorm.checkpoint.container.ranged_file import RangedFile
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor, bytes_of, fetch

_ROWS_AT_ONCE = 1024


def is_same_place(left: SourceTensor, right: SourceTensor) -> bool:
    """Say whether two tensors are one that was saved once, as tied weights are.

    Args:
        left: a tensor.
        right: another one.

    Returns:
        True if both are the same bytes of the same file, seen the same way.
    """
    if not isinstance(left, LazyTensor) or not isinstance(right, LazyTensor):
        return left is right
    mine = (left.file, left.place, left.shape, left.stride, left.dtype)
    return mine == (right.file, right.place, right.shape, right.stride, right.dtype)


def have_same_bytes(left: SourceTensor, right: SourceTensor) -> bool:
    """Say whether two tensors are of one type and shape and hold the same bytes.

    Args:
        left: a tensor.
        right: another one.

    Returns:
        True if they are the same bit by bit. Both are read in blocks of rows. Of tensors on the Hub whose weights nobody is
        going to read: if the container's checksums are the same, or, where it has none, the first, middle and last rows.
    """
    if is_same_place(left, right):
        return True
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        return False
    equal_sums = _same_by_sums(left, right)
    if equal_sums is not None:
        return equal_sums
    if not left.shape:
        return bytes_of(left) == bytes_of(right)
    rows = left.shape[0]
    if rows and _are_only_looked_at(left, right):
        blocks = [(row, 1) for row in {0, rows // 2, rows - 1}]
    else:
        fetch([left, right])
        blocks = [(start, min(_ROWS_AT_ONCE, rows - start)) for start in range(0, rows, _ROWS_AT_ONCE)]
    return all(bytes_of(left.narrow(*block)) == bytes_of(right.narrow(*block)) for block in blocks)


def fetch_to_compare(tensors: Iterable[SourceTensor]) -> None:
    """Fetch tensors that will be compared byte by byte, in few requests.

    Args:
        tensors: the tensors; of those that are only looked at nothing is fetched.

    Raises:
        HubProblem: if they cannot be had.
    """
    fetch(tensor for tensor in tensors if not _are_only_looked_at(tensor))


def _are_only_looked_at(*tensors: SourceTensor) -> bool:
    files = [view.file for tensor in tensors for view in tensor.views]
    return any(isinstance(file, RangedFile) and file.is_only_looked_at for file in files)


def _same_by_sums(left: SourceTensor, right: SourceTensor) -> bool | None:
    """Compare two tensors that are only looked at by the checksums that their files state; None where these do not tell."""
    sums = [_sum_of(tensor) if isinstance(tensor, LazyTensor) else None for tensor in (left, right)]
    return None if None in sums else sums[0] == sums[1]


def _sum_of(tensor: LazyTensor) -> int | None:
    """Return the CRC-32 that the file states for a tensor, if it is on the Hub and nobody is going to read it."""
    file = tensor.file
    if not isinstance(file, RangedFile) or not file.is_only_looked_at:
        return None
    is_all = tensor.place == tensor.span and tensor.is_contiguous
    return file.stated_sum(tensor.span) if is_all else None
