"""What a tensor that is not as planned is nearest to: a search over known changes, each of which must give its values.

A change is named only if it leaves nothing, or no more than rounding. A tensor that no change explains gets no name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import tensor_bytes
from prenorm.proof.checks.audit import bits_of
from prenorm.proof.hints.permutations import moved_heads, moves

# How much of a tensor's range an arithmetic change may leave: some roundings of float32, and of a narrower type its own.
_ROUNDINGS = 4
# The values at which a candidate is looked at before it is read as a whole.
_SAMPLE = 64
# A shift of rows is named if so many of them lie where it puts them.
_SHIFTED = 0.9
_NARROWER = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class OtherTensor:
    """A tensor that another one may have been taken for.

    Attributes:
        words: what it is called, such as "layer 0's key weight".
        shape: its shape.
        read: reads its values as planned.
        stands_in: whether the folder has, under this tensor's name, the values that were wanted (given as the argument).
    """

    words: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    stands_in: Callable[[Tensor], bool]


def nearest(
    actual: Tensor, expected: Tensor, candidates: Sequence[OtherTensor], heads: int | None = None
) -> str | None:
    """Describe how a tensor came from what it should be, or from another tensor.

    Args:
        actual: what the folder holds.
        expected: what it should hold.
        candidates: the other tensors, in the order in which they are tried.
        heads: into how many heads the rows are split, if they are.

    Returns:
        The change in words that follow the tensor's name; None if no known change gives these values.
    """
    for words in _explanations(actual, expected.to(actual.dtype), candidates, heads):
        return words
    return None


def differing(actual: Tensor, expected: Tensor) -> tuple[int, tuple[int, ...] | None]:
    """Count the values that differ.

    Args:
        actual: what the folder holds.
        expected: what it should hold, of the same shape.

    Returns:
        How many, and the index of the first of them.
    """
    unequal = bits_of(actual) != bits_of(expected.to(actual.dtype))
    count = int(unequal.sum())
    if not count:
        return 0, None
    first = int(unequal.reshape(-1).to(torch.uint8).argmax())
    return count, tuple(int(n) for n in torch.unravel_index(torch.tensor(first), unequal.shape))


def _explanations(
    actual: Tensor, expected: Tensor, candidates: Sequence[OtherTensor], heads: int | None
) -> Iterator[str]:
    """Yield the changes that give the values, the most certain first."""
    same_shape = actual.shape == expected.shape
    if not torch.isfinite(actual).all() and torch.isfinite(expected).all():
        yield f"holds NaN or infinity, {int((~torch.isfinite(actual)).sum()):,} times"
        return
    if actual.numel() and bool((actual == actual.reshape(-1)[0]).all()):
        value = float(actual.reshape(-1)[0])
        yield "holds zeros" if value == 0 else f"holds {value:g} throughout"
        return
    if actual.dim() == 2 and actual.shape == expected.T.shape and torch.equal(actual, expected.T):
        yield "is transposed"
    yield from _others(actual, expected, candidates)
    if same_shape:
        yield from _other_order(actual, expected, heads)
        yield from _rounded(actual, expected)
        yield from _arithmetic(actual, expected)
        yield from _some_rows(actual, expected)
    yield from _others_scaled(actual, candidates)


def _others(actual: Tensor, expected: Tensor, candidates: Sequence[OtherTensor]) -> Iterator[str]:
    """Yield the tensors that have these values, as they are or transposed."""
    for turned in (False, True):
        wanted = actual.T if turned and actual.dim() == 2 else actual
        if turned and wanted is actual:
            return
        places, holders = _places(wanted), []
        for candidate in candidates:
            if candidate.shape != tuple(wanted.shape):
                continue
            values = candidate.read().to(actual.dtype)
            if torch.equal(_flat(values)[places], _flat(wanted)[places]) and torch.equal(values, wanted):
                holders.append(candidate)
        if not turned:
            yield from (f"is swapped with {item.words}" for item in holders if item.stands_in(expected))
        yield from (f"holds {'the transpose of ' if turned else ''}{item.words}" for item in holders)


def _other_order(actual: Tensor, expected: Tensor, heads: int | None) -> Iterator[str]:
    """Yield what moved, where it holds the same rows, columns or values in another order."""
    if actual.dim() == 0 or not len(actual):
        return
    for turned, what in ((False, "row" if actual.dim() > 1 else "value"), (True, "column")):
        if turned and actual.dim() != 2:
            return
        one, other = (actual.T, expected.T) if turned else (actual, expected)
        matches = _matches(one, other)
        shift = _shift(matches)
        if None not in matches:
            order = torch.tensor(matches)
            if bool((order == torch.arange(len(order))).all()):
                continue
            if shift is not None:
                yield f"holds its {what}s rolled by {shift}"
            elif bool((order == torch.arange(len(order)).flip(0)).all()):
                yield f"holds its {what}s in reverse order"
            else:
                yield _order_in_words(order, what, None if turned else heads)
        elif shift:
            yield f"holds its {what}s shifted by {shift}"


def _order_in_words(order: Tensor, what: str, heads: int | None) -> str:
    """Return an order in words, as one of heads where those stayed whole."""
    whole = moved_heads(order, heads) if heads else None
    if whole is not None:
        return f"holds its attention heads in another order: {moves(whole, 'head')}"
    return f"holds its {what}s in another order: {moves(order, what)}"


def _matches(actual: Tensor, expected: Tensor) -> list[int | None]:
    """Return for every row the row of `expected` with the same bytes, its own if that has them; each is used once."""
    one, other = (_rows_as_bytes(values) for values in (actual, expected))
    matches: list[int | None] = [n if n < len(other) and row == other[n] else None for n, row in enumerate(one)]
    free: defaultdict[bytes, list[int]] = defaultdict(list)
    for n in reversed(range(len(other))):
        if matches[n] is None:
            free[other[n]].append(n)
    for n, row in enumerate(one):
        if matches[n] is None and free.get(row):
            matches[n] = free[row].pop()
    return matches


def _rows_as_bytes(values: Tensor) -> list[bytes]:
    """Return the bytes of each row of dimension 0; -0.0 is not told from 0.0."""
    raw = tensor_bytes(values + 0.0)
    size = len(raw) // max(len(values), 1)
    return [bytes(raw[row * size : (row + 1) * size]) for row in range(len(values))]


def _shift(matches: Sequence[int | None]) -> int | None:
    """Return by how much nearly all rows are moved on, in the shorter direction; None if there is no such number."""
    size = len(matches)
    shifts = Counter((n - match) % size for n, match in enumerate(matches) if match is not None)
    if not shifts:
        return None
    shift, votes = shifts.most_common(1)[0]
    if shift == 0 or size < 3 or votes < (size if None not in matches else max(_SHIFTED * size, 2)):
        return None
    return shift if shift <= size // 2 else shift - size


def _rounded(actual: Tensor, expected: Tensor) -> Iterator[str]:
    """Yield the type it was rounded to, or the units in the last place by which it differs."""
    for dtype in _NARROWER:
        if actual.dtype != dtype and torch.equal(actual, expected.to(dtype).to(actual.dtype)):
            yield f"is rounded to {str(dtype).removeprefix('torch.')}"
    apart = (_ordered(actual) - _ordered(expected)).abs().max()
    if int(apart) == 1:
        yield "differs by one unit in the last place"
    elif 1 < int(apart) <= _ROUNDINGS:
        yield f"differs by up to {int(apart)} units in the last place"


def _arithmetic(actual: Tensor, expected: Tensor) -> Iterator[str]:
    """Yield the sign, the factor or the constant by which all values changed."""
    if torch.equal(actual, -expected):
        yield "is negated"
    factor = _factor(actual.double(), expected.double(), actual.dtype)
    if factor is not None and factor != 1:
        yield f"is scaled by {factor:.6g}"
    one, other = actual.double(), expected.double()
    constant = float((one - other).mean())
    if constant and _is_left(one - other - constant, one.abs().max() + other.abs().max(), actual.dtype):
        yield f"has {constant:.6g} added to every value"


def _others_scaled(actual: Tensor, candidates: Sequence[OtherTensor]) -> Iterator[str]:
    """Yield the tensors of which it is a multiple."""
    places, wanted = _places(actual), actual.double()
    for candidate in candidates:
        if candidate.shape != tuple(actual.shape):
            continue
        values = candidate.read()
        if _factor(_flat(wanted)[places], _flat(values)[places].double(), actual.dtype) is None:
            continue
        factor = _factor(wanted, values.double(), actual.dtype)
        if factor is not None:
            yield f"holds {candidate.words} {'negated' if factor == -1 else f'scaled by {factor:.6g}'}"


def _factor(actual: Tensor, expected: Tensor, dtype: torch.dtype) -> float | None:
    """Return the factor between two tensors, by least squares; None unless it leaves no more than rounding."""
    norm = float((expected * expected).sum())
    # Few values that are no zeros are too few to tell a factor by.
    if not norm or int((expected != 0).sum()) < 3 or len(set(_flat(expected)[_places(expected)].tolist())) < 3:
        return None
    factor = float((actual * expected).sum()) / norm
    if not factor or not _is_left(actual - factor * expected, actual.abs().max(), dtype):
        return None
    near = round(factor * 1024) / 1024  # a written factor comes out exactly
    return near if abs(near - factor) <= _ROUNDINGS * torch.finfo(dtype).eps * abs(factor) else factor


def _is_left(left: Tensor, scale: Tensor, dtype: torch.dtype) -> bool:
    """Return whether no more is left than some roundings of the largest value."""
    return bool(left.abs().max() <= _ROUNDINGS * torch.finfo(dtype).eps * scale)


def _some_rows(actual: Tensor, expected: Tensor) -> Iterator[str]:
    """Yield the rows that are zeros, or another row of the same tensor, where the others are as they should be."""
    if actual.dim() != 2:
        return
    wrong = (actual != expected).any(dim=1).nonzero().flatten().tolist()
    if not wrong or len(wrong) > len(actual) // 2:
        return
    if not bool(actual[wrong].any()):
        yield f"has {_listed(wrong)} zeroed"
    elif len(wrong) == 1:
        same = (expected == actual[wrong[0]]).all(dim=1).nonzero().flatten().tolist()
        if same:
            yield f"has row {same[0]} in row {wrong[0]}, too"


def _listed(rows: Sequence[int]) -> str:
    """Return the first rows, in words."""
    first = ", ".join(map(str, rows[:4])) + (f" and {len(rows) - 4:,} more" if len(rows) > 4 else "")
    return f"{'row' if len(rows) == 1 else 'rows'} {first}"


def _places(values: Tensor) -> Tensor:
    """Return the indices of the sample, spread over the flat tensor."""
    return torch.linspace(0, max(values.numel() - 1, 0), min(_SAMPLE, values.numel()), dtype=torch.float64).long()


def _flat(values: Tensor) -> Tensor:
    return values.reshape(-1)


def _ordered(values: Tensor) -> Tensor:
    """Return integers that count the floating-point numbers in their order, so that neighbours differ by one."""
    bits = bits_of(values).long()
    return torch.where(bits < 0, -(bits & (1 << (8 * values.element_size() - 1)) - 1), bits)
