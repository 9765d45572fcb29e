"""What was measured of a reference's own rounding, place by place."""

from __future__ import annotations

from torch import Tensor


class MeasuredRounding:
    """The largest differences between two computations of a reference, in the order in which places are computed.

    A place with few values can be lucky: rounding is as large there, in proportion to the values, as at the worst place
    before it.

    Attributes:
        apart: the largest difference by stage and part.
        scale: the largest absolute value there.
    """

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.apart: dict[tuple[str, str], float] = {}
        self.scale: dict[tuple[str, str], float] = {}

    def add(self, stage: str, part: str, apart: Tensor, values: Tensor) -> None:
        """Keep the largest difference and the largest value of one part.

        Args:
            stage: a stage, `logits` or `head.NAME`.
            part: one of its parts.
            apart: differences, of any shape.
            values: what was computed, of any shape.
        """
        for largest, numbers in ((self.apart, apart), (self.scale, values)):
            most = float(numbers.abs().nan_to_num(nan=0.0, posinf=0.0).max()) if numbers.numel() else 0.0
            largest[stage, part] = max(largest.get((stage, part), 0.0), most)

    def at(self, stage: str, part: str, *, least: float, factor: float) -> float:
        """Return what rounding comes to at a place.

        Args:
            stage: a stage, `logits` or `head.NAME`.
            part: one of its parts.
            least: the smallest difference in proportion to the values that is believed.
            factor: how much more a folder may be off.

        Returns:
            The largest absolute difference times the factor; 0 where nothing was measured.
        """
        worst = least
        for place, apart in self.apart.items():
            scale = self.scale[place]
            worst = max(worst, apart / scale if scale else 0.0)
            if place == (stage, part):
                return factor * worst * scale
        return 0.0
