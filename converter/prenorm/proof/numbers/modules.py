"""The differences of all modules: along the chain, and of each module from what it took in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from prenorm.proof.numbers.differences import Difference
from prenorm.reports.model import ModuleLine


@dataclass
class OwnDifference(Difference):
    """How far one quantity is from what it must be of a module's own input: every value has a limit of its own.

    What is shown is the value that is nearest to its limit, or farthest beyond it.

    Attributes:
        nearest: of that value the difference over the limit.
        nearest_apart: its difference.
        nearest_limit: its limit.
    """

    nearest: float = -1.0
    nearest_apart: float = 0.0
    nearest_limit: float = 0.0

    def add_judged(self, reference: Tensor, actual: Tensor, limit: Tensor) -> Tensor:
        """Take in more values.

        Args:
            reference: [tokens, values], float64.
            actual: float64, of the same shape.
            limit: of each value, positive, of a shape that broadcasts to that.

        Returns:
            Of each token the largest part of a limit that is used up, [tokens].

        Raises:
            ValueError: if the shapes differ.
        """
        self.add(reference, actual)
        if not reference.numel():
            return reference.new_zeros(len(reference))
        apart = (reference - actual).abs_()
        used = (apart / limit).nan_to_num_(nan=0.0, posinf=math.inf)
        by_token, places = used.max(dim=-1)
        token = int(by_token.argmax())
        if float(by_token[token]) > self.nearest:
            self.nearest, value = float(by_token[token]), int(places[token])
            self.nearest_apart = float(apart[token, value])
            self.nearest_limit = float(limit.expand_as(apart)[token, value])
        return by_token

    @property
    def shown(self) -> float:
        """The difference that is held against the tolerance."""
        return self.nearest_apart

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains there."""
        return self.nearest_limit

    @property
    def passed(self) -> bool:
        """Whether every difference is rounding, on everything that is a number, and the same places are numbers."""
        compared = self.count > 0 or self.nonfinite_reference > 0
        return self.nonfinite_apart == 0 and compared and self.nearest <= 1.0


@dataclass
class ModuleDifferences:
    """The differences of all modules, in the order in which they compute.

    Attributes:
        by_name: of each module what it was compared in: its values along the chain, and what it makes of its own input.
    """

    by_name: dict[str, dict[str, Difference]] = field(default_factory=dict)

    def add(self, name: str, reference: Tensor, actual: Tensor, noise: float, relative: float) -> bool:
        """Take in one module's output along the chain.

        Args:
            name: its name in the report.
            reference: float64.
            actual: float64, of the same shape.
            noise: the reference's measured error there.
            relative: what is allowed besides, in proportion to the range.

        Returns:
            Whether the difference is rounding, in all that was taken in.

        Raises:
            ValueError: if the shapes differ.
        """
        difference = self.by_name.setdefault(name, {}).setdefault("chain", Difference(name))
        difference.noise, difference.relative = noise, relative
        difference.add(reference, actual)
        return difference.passed

    def add_judged(self, name: str, kind: str, reference: Tensor, actual: Tensor, limit: Tensor) -> tuple[bool, Tensor]:
        """Take in what a module makes of its own input.

        Args:
            name: its name in the report.
            kind: what is compared; each kind is judged by itself.
            reference: float64.
            actual: float64, of the same shape.
            limit: of each value.

        Returns:
            Whether the difference is rounding, in all of that kind that was taken in; and of each token the largest part of
            a limit that is used up, [tokens].

        Raises:
            ValueError: if the shapes differ.
        """
        difference = self.by_name.setdefault(name, {}).setdefault(kind, OwnDifference(name))
        assert isinstance(difference, OwnDifference)
        used = difference.add_judged(reference, actual, limit)
        return difference.passed, used

    @property
    def worst(self) -> list[Difference]:
        """Of each module what is nearest to its limit, or farthest beyond it."""
        return [
            max(kinds.values(), key=lambda item: (not item.passed, item.exhausted)) for kinds in self.by_name.values()
        ]

    @property
    def judged(self) -> bool:
        """Whether every value was a number."""
        return all(item.judged for kinds in self.by_name.values() for item in kinds.values())

    def lines(self) -> list[ModuleLine]:
        """Return the lines of the report, in computing order.

        Returns:
            One line for each module.
        """
        return [item.line() for item in self.worst]

    @property
    def first_divergence(self) -> str | None:
        """The first module whose difference is more than rounding."""
        return next((item.name for item in self.worst if not item.passed), None)
