"""Reference against folder, number by number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from prenorm.proof.numbers.distributions import Distributions
from prenorm.reports.model import ModuleLine

# Where float64's rounding was not measured. Two float64 computations of the same function, in different orders of operations,
# agree to about 1e-13 of the values' size; a wrong epsilon or GELU form shows at 1e-6 and above. Between the two lies this.
RELATIVE_TOLERANCE = 1e-9
# A reference with rounding is as far from the truth as it was measured to be; other values are unluckier by a little.
NOISE_FACTOR = 4.0
# So many values of both sides and their difference fit in a processor's cache.
_VALUES_AT_ONCE = 1 << 16


@dataclass
class Difference:
    """How far one quantity is apart, over all it was compared on.

    Attributes:
        name: the quantity's name in the report.
        max_abs_diff: the largest absolute difference.
        scale: the reference's largest absolute value.
        sum_abs: the sum of the absolute differences.
        sum_squares: the sum of their squares.
        dot: the dot product of both sides.
        norm_reference: the squared norm of the reference.
        norm_actual: the squared norm of the other side.
        count: how many values were compared.
        nonfinite_reference: how many of the reference's values are no numbers.
        nonfinite_actual: how many of the other side's.
        nonfinite_apart: in how many places one side is a number and the other is not.
        noise: the reference's measured error.
        relative: what is allowed besides, in proportion to the range, where not all errors were measured.
    """

    name: str
    max_abs_diff: float = 0.0
    scale: float = 0.0
    sum_abs: float = 0.0
    sum_squares: float = 0.0
    dot: float = 0.0
    norm_reference: float = 0.0
    norm_actual: float = 0.0
    count: int = 0
    nonfinite_reference: int = 0
    nonfinite_actual: int = 0
    nonfinite_apart: int = 0
    noise: float = 0.0
    relative: float = RELATIVE_TOLERANCE

    def add(self, reference: Tensor, actual: Tensor) -> None:
        """Take in more values.

        Args:
            reference: float64.
            actual: float64, of the same shape.

        Raises:
            ValueError: if the shapes differ.
        """
        self._check(reference, actual)
        self._take_pieces(reference, actual)

    def add_columns(self, reference: Tensor, actual: Tensor) -> None:
        """Take in some columns of a table; `end_rows` follows the last.

        Args:
            reference: [rows, some], float64.
            actual: [rows, some], float64.

        Raises:
            ValueError: if the shapes differ.
        """
        self.add(reference, actual)

    def end_rows(self) -> None:
        """End these rows: all of their columns were taken in."""

    def _check(self, reference: Tensor, actual: Tensor) -> None:
        """Raise `ValueError` unless both sides have one shape."""
        if reference.shape != actual.shape:
            raise ValueError(
                f"{self.name}: shapes {tuple(reference.shape)} and {tuple(actual.shape)} cannot be compared"
            )

    def _take_pieces(self, reference: Tensor, actual: Tensor) -> None:
        """Take in values piece by piece."""
        if reference.numel():
            for expected, computed in _pieces(reference, actual):
                self._take(expected, computed, expected - computed)

    def _take(self, reference: Tensor, actual: Tensor, apart: Tensor) -> None:
        """Take in one piece, and the difference."""
        largest, scale = _largest(apart), _largest(reference)
        if not (math.isfinite(largest) and math.isfinite(scale)):
            finite_r, finite_a = torch.isfinite(reference), torch.isfinite(actual)
            self.nonfinite_reference += int((~finite_r).sum())
            self.nonfinite_actual += int((~finite_a).sum())
            self.nonfinite_apart += int((finite_r != finite_a).sum())
            both = finite_r & finite_a
            self._take_pieces(reference[both], actual[both])
            return
        x, y, d = reference.reshape(-1), actual.reshape(-1), apart.view(-1)
        self.max_abs_diff, self.scale = max(self.max_abs_diff, largest), max(self.scale, scale)
        self.sum_abs += float(torch.linalg.vector_norm(d, ord=1))
        self.sum_squares += float(torch.dot(d, d))
        self.dot += float(torch.dot(x, y))
        self.norm_reference += float(torch.dot(x, x))
        self.norm_actual += float(torch.dot(y, y))
        self.count += x.numel()

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains."""
        return self.relative * self.scale + NOISE_FACTOR * self.noise

    @property
    def shown(self) -> float:
        """The difference that is held against the tolerance."""
        return self.max_abs_diff

    @property
    def exhausted(self) -> float:
        """How much of the tolerance is used up: 1 is the limit."""
        if self.nonfinite_apart:
            return math.inf
        return self.shown / self.tolerance if self.tolerance else math.inf if self.shown else 0.0

    @property
    def passed(self) -> bool:
        """Whether the difference is rounding, on everything that is a number, and the same places are numbers."""
        compared = self.count > 0 or self.nonfinite_reference > 0
        return self.nonfinite_apart == 0 and compared and self.max_abs_diff <= self.tolerance

    @property
    def judged(self) -> bool:
        """Whether every value was a number, so that `passed` speaks of all of them."""
        return self.nonfinite_reference == 0 and self.nonfinite_actual == 0

    def line(self) -> ModuleLine:
        """Return the module's line of the report.

        Returns:
            The line, with difference, range, tolerance and verdict.
        """
        return ModuleLine(self.name, self.shown, self.scale, self.tolerance, self.passed)

    def metrics(self) -> dict[str, float | int]:
        """Return the metrics of the report.

        Returns:
            Numbers by name.
        """
        norms = math.sqrt(self.norm_reference * self.norm_actual)
        return {
            "max_abs_diff": self.shown,
            "mean_abs_diff": self.sum_abs / self.count if self.count else 0.0,
            "rmse": math.sqrt(self.sum_squares / self.count) if self.count else 0.0,
            "relative_to_range": self.max_abs_diff / self.scale if self.scale else 0.0,
            "range": self.scale,
            "cosine": self.dot / norms if norms else 1.0,
            "values": self.count,
            "nonfinite_reference": self.nonfinite_reference,
            "nonfinite_target": self.nonfinite_actual,
        }


def _largest(values: Tensor) -> float:
    """Return the largest absolute value, in one pass; NaN if there is one."""
    low, high = torch.aminmax(values)
    return max(-float(low), float(high))


def _pieces(reference: Tensor, actual: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows of both, so few at a time that they stay in the processor's cache from one pass to the next."""
    width = reference.shape[-1] if reference.dim() > 1 else 1
    rows = max(1, _VALUES_AT_ONCE // width)
    shape = (-1, width)
    return zip(torch.split(reference.reshape(shape), rows), torch.split(actual.reshape(shape), rows), strict=True)


@dataclass
class LogitDifference(Difference):
    """How far logits are apart, as numbers and as distributions.

    Attributes:
        kl_sum: the sum of the KL divergences of all tokens, in nats.
        kl_max: the largest of them.
        same_best: for how many tokens both sides have the same largest logit.
        tokens: how many tokens were compared.
    """

    kl_sum: float = 0.0
    kl_max: float = 0.0
    same_best: int = 0
    tokens: int = 0
    _open: Distributions | None = None

    def add(self, reference: Tensor, actual: Tensor) -> None:
        """Take in the logits of some tokens.

        Args:
            reference: [tokens, vocab], float64.
            actual: [tokens, vocab], float64.

        Raises:
            ValueError: if the shapes differ.
        """
        self.add_columns(reference, actual)
        self.end_rows()

    def add_columns(self, reference: Tensor, actual: Tensor) -> None:
        """Take in the next columns of the logits of some tokens.

        Args:
            reference: [tokens, some], float64.
            actual: [tokens, some], float64.

        Raises:
            ValueError: if the shapes differ.
        """
        self._check(reference, actual)
        rows = max(1, _VALUES_AT_ONCE // reference.shape[1])
        if self._open is None:
            self._open = Distributions(len(reference))
        for start in range(0, len(reference), rows):
            x, y = reference[start : start + rows], actual[start : start + rows]
            apart = x - y
            self._open.add(slice(start, start + rows), x, y, apart)
            self._take(x, y, apart)
        self._open.seen += reference.shape[1]

    def end_rows(self) -> None:
        """End these tokens: all columns of their logits were taken in."""
        distributions, self._open = self._open, None
        if distributions is not None:
            divergence = distributions.divergence()
            self.kl_sum += float(divergence.sum())
            self.kl_max = max(self.kl_max, float(divergence.max()))
            self.same_best += distributions.same_best()
            self.tokens += len(divergence)

    @property
    def passed(self) -> bool:
        """Whether the difference is rounding. Equal numbers have equal best tokens, ties aside: those are not asked."""
        return super().passed and self.tokens > 0

    def metrics(self) -> dict[str, float | int]:
        """Return the metrics of the report.

        Returns:
            Numbers by name.
        """
        return {
            **super().metrics(),
            "kl_mean": self.kl_sum / self.tokens if self.tokens else 0.0,
            "kl_max": self.kl_max,
            "top1_agreement": self.same_best / self.tokens if self.tokens else 0.0,
            "tokens": self.tokens,
        }
