"""Reference against folder, number by number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Two float64 computations of the same function, in different orders of operations, agree to about 1e-13 of the values'
# size; a wrong epsilon or GELU form shows at 1e-6 and above. Between the two lies this.
RELATIVE_TOLERANCE = 1e-9
# A float32 reference is as far from the truth as it is from itself in float64; other values are unluckier by a little.
NOISE_FACTOR = 4.0
_TOKENS_AT_ONCE = 64


@dataclass
class Difference:
    """How far one quantity is apart, over all it was compared on.

    `scale` is the reference's largest absolute value; `noise` its measured error, where it computes in float32.
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

    def add(self, reference: Tensor, actual: Tensor) -> None:
        """Takes in one more piece; both of one shape, float64."""
        if reference.shape != actual.shape:
            raise ValueError(
                f"{self.name}: shapes {tuple(reference.shape)} and {tuple(actual.shape)} cannot be compared"
            )
        apart = (reference - actual).abs_()
        largest, scale = (float(x.abs().max()) if x.numel() else 0.0 for x in (apart, reference))
        if not (math.isfinite(largest) and math.isfinite(scale)):
            self._set_nonfinite_apart(reference, actual)
            return
        self._take(reference, actual, apart, largest, scale)

    def _set_nonfinite_apart(self, reference: Tensor, actual: Tensor) -> None:
        """Counts what is no number, and takes in the rest."""
        finite_r, finite_a = torch.isfinite(reference), torch.isfinite(actual)
        self.nonfinite_reference += int((~finite_r).sum())
        self.nonfinite_actual += int((~finite_a).sum())
        self.nonfinite_apart += int((finite_r != finite_a).sum())
        both = finite_r & finite_a
        reference, actual = reference[both], actual[both]
        apart = (reference - actual).abs_()
        if reference.numel():
            self._take(reference, actual, apart, float(apart.max()), float(reference.abs().max()))

    def _take(self, reference: Tensor, actual: Tensor, apart: Tensor, largest: float, scale: float) -> None:
        self.max_abs_diff, self.scale = max(self.max_abs_diff, largest), max(self.scale, scale)
        self.sum_abs += float(apart.sum())
        self.sum_squares += _dot(apart, apart)
        self.dot += _dot(reference, actual)
        self.norm_reference += _dot(reference, reference)
        self.norm_actual += _dot(actual, actual)
        self.count += reference.numel()

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains."""
        return RELATIVE_TOLERANCE * self.scale + NOISE_FACTOR * self.noise

    @property
    def passed(self) -> bool:
        """Whether the difference is rounding, on everything that is a number, and the same places are numbers."""
        compared = self.count > 0 or self.nonfinite_reference > 0
        return self.nonfinite_apart == 0 and compared and self.max_abs_diff <= self.tolerance

    @property
    def judged(self) -> bool:
        """Whether every value was a number, so that `passed` speaks of all of them."""
        return self.nonfinite_reference == 0 and self.nonfinite_actual == 0

    def metrics(self) -> dict[str, float | int]:
        """The metrics of the report."""
        norms = math.sqrt(self.norm_reference * self.norm_actual)
        return {
            "max_abs_diff": self.max_abs_diff,
            "mean_abs_diff": self.sum_abs / self.count if self.count else 0.0,
            "rmse": math.sqrt(self.sum_squares / self.count) if self.count else 0.0,
            "relative_to_range": self.max_abs_diff / self.scale if self.scale else 0.0,
            "range": self.scale,
            "cosine": self.dot / norms if norms else 1.0,
            "values": self.count,
            "nonfinite_reference": self.nonfinite_reference,
            "nonfinite_target": self.nonfinite_actual,
        }


def _dot(left: Tensor, right: Tensor) -> float:
    """The sum of products, in one pass and without a tensor between."""
    return float(torch.dot(left.reshape(-1), right.reshape(-1)))


@dataclass
class LogitDifference(Difference):
    """As above, and as distributions: KL divergence in nats, and how often both have the same best token."""

    kl_sum: float = 0.0
    kl_max: float = 0.0
    same_best: int = 0
    tokens: int = 0

    def add(self, reference: Tensor, actual: Tensor) -> None:
        """Takes in logits [tokens, vocab]."""
        for ours, theirs in _pieces(reference, actual):
            super().add(ours, theirs)
            # KL(p || q) = sum p (x - y) - (log sum exp x - log sum exp y), for the softmaxes p and q of x and y.
            sum_p, sum_q = (torch.logsumexp(x, dim=-1, keepdim=True) for x in (ours, theirs))
            p = (ours - sum_p).exp_()
            divergence = (torch.linalg.vecdot(p, ours - theirs) - (sum_p - sum_q)[:, 0]).nan_to_num().clamp_(min=0.0)
            self.kl_sum += float(divergence.sum())
            self.kl_max = max(self.kl_max, float(divergence.max()))
            self.same_best += int((ours.argmax(dim=-1) == theirs.argmax(dim=-1)).sum())
            self.tokens += ours.shape[0]

    @property
    def passed(self) -> bool:
        """As above; equal numbers have equal best tokens, ties aside."""
        return super().passed and self.tokens > 0

    def metrics(self) -> dict[str, float | int]:
        """The metrics of the report."""
        return {
            **super().metrics(),
            "kl_mean": self.kl_sum / self.tokens if self.tokens else 0.0,
            "kl_max": self.kl_max,
            "top1_agreement": self.same_best / self.tokens if self.tokens else 0.0,
            "tokens": self.tokens,
        }


def _pieces(reference: Tensor, actual: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(reference, _TOKENS_AT_ONCE), torch.split(actual, _TOKENS_AT_ONCE), strict=True)


@dataclass
class ModuleDifferences:
    """The differences of all modules, in the order in which they compute."""

    by_name: dict[str, Difference] = field(default_factory=dict)

    def add(self, name: str, reference: Tensor, actual: Tensor, noise: float = 0.0) -> None:
        """Takes in one module's output."""
        found = self.by_name.setdefault(name, Difference(name))
        found.noise = noise
        found.add(reference, actual)

    @property
    def first_divergence(self) -> str | None:
        """The first module whose difference is more than rounding."""
        return next((name for name, found in self.by_name.items() if not found.passed), None)
