"""Does a dictionary belong to a model? `dict.txt` holds counts, and the LM head's bias follows how frequent a token is.

Measured as Spearman's rank correlation of both: 0.94 to 0.97 on the six checkpoints here that were trained (428 rows), at
most 0.15 with the lines shuffled, -0.94 to -0.97 with them turned round, -0.42 to -0.50 with them moved on by half
(`docs/dictionary.md`; `benchmarks/dictionary_separation.py` measures it).

It cannot see two swapped lines (0.94 to 0.97), a shift by one line (0.93 to 0.96), or another dictionary sorted by its counts
(0.87 to 0.90): fairseq sorts them all, and ranks are all that is compared. Nothing is said where training left no trace: a
bias that is constant (fresh ones are zero), counts that are all alike or nearly (dummy dictionaries), few rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.mapping.understood import Prepared
from prenorm.tokenization.dictionary import SPECIAL_TOKENS, Dictionary

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

# Of unrelated ranks the correlation is about normal with a deviation of 1 / sqrt(rows - 1): with this many rows, the limit is
# 4.7 of them. Below the limit lies every dictionary in another order; far above it the trained models, so that there is room
# for models whose embeddings tell of the frequency, too.
LIMIT = 0.3
_FEWEST_ROWS = 250
_FEWEST_COUNTS = 10
_LARGEST = 1 << 53


def frequency_warning(prepared: Prepared, dictionary: Dictionary | None) -> str | None:
    """Say if the LM head's bias does not follow the dictionary's counts.

    Args:
        prepared: the checkpoint.
        dictionary: what the folder's tokenizer is made of, or judged by; None where there is no tokenizer.

    Returns:
        A warning in one sentence; None if it follows them, or nothing can be said.
    """
    tensors = prepared.canonical.tensors
    bias = next((item.tensor for name, item in tensors.items() if name.endswith("lm_head.bias")), None)
    if bias is None or dictionary is None:
        return None
    path = dictionary.path
    correlation = frequency_correlation(bias.read().double().numpy(), read_counts(path))
    if correlation is None or correlation >= LIMIT:
        return None
    return (
        f"{path.name} may be another model's: the LM head's bias does not follow its counts (rank correlation "
        f"{correlation:.2f}; 0.9 and more is usual in a trained model, about 0 with lines in another order)"
    )


def read_counts(path: Path) -> list[int]:
    """Read the counts of a dictionary.

    Args:
        path: a dictionary that was read before.

    Returns:
        One for each line, in their order; none at all if a line ends in no number, as one that overwrites another.
    """
    fields = [line.rstrip().rpartition(" ")[2] for line in path.read_text(encoding="utf-8").split("\n") if line]
    try:
        return [max(min(int(field), _LARGEST), -_LARGEST) for field in fields]
    except ValueError:
        return []


def frequency_correlation(bias: NDArray[float64], counts: list[int]) -> float | None:
    """Return the rank correlation of an LM head's bias and a dictionary's counts.

    Args:
        bias: of all rows, the special tokens first.
        counts: of the dictionary's lines.

    Returns:
        From -1 to 1; None where it would say nothing.
    """
    import numpy as np

    first = len(SPECIAL_TOKENS)
    values = bias[first : first + len(counts)]
    if (
        len(values) < max(len(counts), _FEWEST_ROWS)
        or len(set(counts)) < _FEWEST_COUNTS
        or len(set(values)) < _FEWEST_COUNTS
    ):
        return None
    if not np.isfinite(values).all():
        return None
    return float(np.corrcoef(_ranks(values), _ranks(np.array([float(count) for count in counts])))[0, 1])


def _ranks(values: NDArray[float64]) -> NDArray[float64]:
    """Return each value's rank; equal values share the mean of theirs."""
    import numpy as np

    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    ranks: NDArray[float64] = (ends - (sizes + 1) / 2)[place]
    return ranks
