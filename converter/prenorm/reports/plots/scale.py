"""A logarithmic axis on which zero, NaN and infinity have their places too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

_MOST_TICKS = 9
# What a page in the light scheme and a PNG show, and the CSS variables that a page may set instead.
COLOURS = {
    "ink": "#1f2328",
    "muted": "#59636e",
    "line": "#d1d9e0",
    "band": "#f3f5f8",
    "point": "#0969da",
    "failed": "#cf222e",
    "tolerance": "#bc4c00",
    "noise": "#8250df",
}
VARIABLES = {colour: f"--plot-{name}" for name, colour in COLOURS.items()}


def style_axes(axes: Axes) -> None:
    """Give axes thin lines and quiet labels.

    Args:
        axes: the axes.
    """
    axes.tick_params(colors=COLOURS["muted"], labelcolor=COLOURS["ink"], length=3)
    axes.xaxis.label.set_color(COLOURS["ink"])
    axes.yaxis.label.set_color(COLOURS["ink"])
    for spine in axes.spines.values():
        spine.set_color(COLOURS["line"])


@dataclass(frozen=True)
class Decades:
    """Heights are powers of ten: 1e-12 stands at -12. Zero has a row below the lowest decade, what is no number one above.

    The rows exist only where something stands in them.
    """

    low: int
    high: int
    zeros: bool
    strays: bool

    @classmethod
    def over(cls, values: Iterable[float], rows: Sequence[float]) -> Decades:
        """Make the scale for some values.

        Args:
            values: all that must fit on it.
            rows: those that need the extra rows where they are zero, NaN or infinite.

        Returns:
            The scale.
        """
        powers = [math.log10(value) for value in values if 0 < value < math.inf]
        low = math.floor(min(powers, default=-16.0) - 0.2)
        high = math.ceil(max(powers, default=0.0) + 0.2)
        return cls(low, high, any(value == 0 for value in rows), any(not math.isfinite(value) for value in rows))

    @property
    def _gap(self) -> float:
        return 0.09 * (self.high - self.low)

    def height(self, value: float) -> float:
        """Return where a value stands. A negative one, which no absolute difference is, stands with NaN and infinity.

        Args:
            value: an absolute difference.

        Returns:
            The height in decades.
        """
        if value == 0:
            return self.low - self._gap
        return math.log10(value) if 0 < value < math.inf else self.high + self._gap

    def mark(self, axes: Axes) -> None:
        """Set limits, ticks and grid of the y axis.

        Args:
            axes: the axes to mark.
        """
        step = max(1, math.ceil((self.high - self.low) / _MOST_TICKS))
        ticks: list[float] = list(range(self.low, self.high + 1, step))
        labels = [f"1e{int(tick):+03d}" for tick in ticks]
        for tick in ticks:
            axes.axhline(tick, color=COLOURS["line"], linewidth=0.6, zorder=0.5)
        if self.zeros:
            ticks, labels = [self.low - self._gap, *ticks], ["0", *labels]
        if self.strays:
            ticks, labels = [*ticks, self.high + self._gap], [*labels, "NaN, inf"]
        axes.set_yticks(ticks, labels=labels)
        axes.set_ylim(self.low - (1.8 if self.zeros else 0.3) * self._gap, self.top)

    @property
    def top(self) -> float:
        """The upper end of the axis, with room for the layers' names."""
        return self.high + (2.6 if self.strays else 1.1) * self._gap
