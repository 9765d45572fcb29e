"""Two sets of logits as distributions, some of the vocabulary at a time: KL divergence, and the best token.

A softmax over pieces keeps each row's largest value so far, and sums relative to it (Milakov and Gimelshein 2018,
arXiv:1805.02867), so that neither side's logits have to be there whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class _Running:
    """A softmax up to now: each row's largest logit and its place, and the sum of exp(logit - largest); all [rows]."""

    largest: Tensor
    best: Tensor
    total: Tensor

    @classmethod
    def start(cls, rows: int) -> _Running:
        """Return a softmax over no columns."""
        largest = torch.full((rows,), -math.inf, dtype=torch.float64)
        return cls(largest, torch.zeros(rows, dtype=torch.long), torch.zeros_like(largest))

    def take(self, rows: slice, logits: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Take in more columns of some rows; return exp(logit - largest) of them, and what earlier sums shrink by."""
        before = self.largest[rows]
        highest, at = logits.max(dim=-1)
        higher = ~(highest <= before)  # so that NaN is kept
        now = torch.where(higher, highest, before)
        self.best[rows] = torch.where(higher, at + first, self.best[rows])
        shrink = torch.exp(before - now)
        weights = (logits - now[:, None]).exp_()
        self.total[rows] = self.total[rows] * shrink + weights.sum(dim=-1)
        self.largest[rows] = now
        return weights, shrink

    @property
    def log_total(self) -> Tensor:
        """The logarithm of the sum of exp over all columns up to now."""
        return self.largest + self.total.log()


class Distributions:
    """The softmaxes p and q of two sets of logits x and y [rows, vocab], which come some columns at a time.

    `seen` counts the columns before those that come next.
    """

    def __init__(self, rows: int) -> None:
        """Begin with no columns.

        Args:
            rows: the tokens.
        """
        self._p, self._q = _Running.start(rows), _Running.start(rows)
        self._weighted = torch.zeros(rows, dtype=torch.float64)
        self.seen = 0

    def add(self, rows: slice, x: Tensor, y: Tensor, apart: Tensor) -> None:
        """Take in the next columns of some rows.

        Args:
            rows: which rows.
            x: the reference's logits, [rows, some], float64.
            y: the folder's logits, [rows, some], float64.
            apart: x - y.
        """
        weights, shrink = self._p.take(rows, x, self.seen)
        self._q.take(rows, y, self.seen)
        self._weighted[rows] = self._weighted[rows] * shrink + torch.linalg.vecdot(weights, apart)

    def divergence(self) -> Tensor:
        """Return KL(p || q) = sum p (x - y) - (log sum exp x - log sum exp y).

        Returns:
            Of each row, in nats; 0 where it is no number.
        """
        divergence = self._weighted / self._p.total - (self._p.log_total - self._q.log_total)
        return divergence.nan_to_num().clamp_(min=0.0)

    def same_best(self) -> int:
        """Return in how many rows both have the same largest logit.

        Returns:
            The number of rows.
        """
        return int((self._p.best == self._q.best).sum())
