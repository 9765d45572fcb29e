"""The heat map: the largest difference of each module at each token position of the probe's full-length row."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from prenorm.reports.plots.scale import COLOURS, style_axes
from prenorm.reports.series import HeatGrid

MOST_LABELS = 64
_FARTHEST_BELOW = -10  # decades below the tolerance that are told apart
_ZERO, _NO_NUMBER = "#b4bcc4", "#000000"
_SHADES = 256


def draw_grid(figure: Figure, heat_grid: HeatGrid) -> None:
    """Draw the heat map into a figure: a row for each module, a column for each position, and a colour scale.

    Args:
        figure: an empty figure.
        heat_grid: the differences.
    """
    values = _rectangle(heat_grid)
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log10(values)
    known = powers[np.isfinite(powers)]
    low, high = _limits(known, heat_grid.in_tolerances)
    axes, bar = figure.subplots(1, 2, width_ratios=[40, 1])
    style_axes(axes)
    axes.imshow(_paint(values, powers, low, high, heat_grid), aspect="auto", interpolation="none")
    step = math.ceil(len(heat_grid.labels) / MOST_LABELS)
    axes.set_yticks(range(0, len(heat_grid.labels), step), labels=heat_grid.labels[::step], parse_math=False)
    axes.set_xlabel("token position")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _draw_bar(bar, low, high, heat_grid)
    patches = [
        Patch(color=colour, label=label)
        for colour, label, seen in (
            (_ZERO, "exactly zero", (values == 0).any()),
            (_NO_NUMBER, "NaN or infinity", (np.isnan(values) | np.isinf(values)).any()),
        )
        if seen
    ]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=2, frameon=False, labelcolor=COLOURS["ink"])


def _rectangle(heat_grid: HeatGrid) -> NDArray[np.float64]:
    """Return [modules, positions]; rows that are shorter end in -1, which is no difference."""
    values = np.full((len(heat_grid.values), max(map(len, heat_grid.values))), -1.0)
    for row, row_values in enumerate(heat_grid.values):
        values[row, : len(row_values)] = row_values
    return values


def _limits(known: NDArray[np.float64], in_tolerances: bool) -> tuple[float, float]:
    low = math.floor(known.min()) if known.size else -1
    high = math.ceil(known.max()) if known.size else 0
    if in_tolerances:
        return float(min(max(low, _FARTHEST_BELOW), -1)), float(max(high, 0))
    return float(low), float(max(high, low + 1))


def _paint(
    values: NDArray[np.float64], powers: NDArray[np.float64], low: float, high: float, heat_grid: HeatGrid
) -> NDArray[np.float64]:
    """Return colours, [modules, positions, 4]."""
    colours = _colours(np.nan_to_num(powers, nan=low, posinf=high, neginf=low), low, high, heat_grid.in_tolerances)
    colours[values == 0] = to_rgba(_ZERO)
    colours[~np.isfinite(values)] = to_rgba(_NO_NUMBER)
    colours[values < 0] = (0.0, 0.0, 0.0, 0.0)
    return colours


def _colours(powers: NDArray[np.float64], low: float, high: float, in_tolerances: bool) -> NDArray[np.float64]:
    """Return blue to yellow up to the tolerance, and orange to dark red beyond, so that the limit is an edge."""
    below, beyond = matplotlib.colormaps["cividis"], matplotlib.colormaps["Reds"]
    top = 0.0 if in_tolerances else high
    clipped = np.clip(powers, low, high)
    colours: NDArray[np.float64] = below((clipped - low) / (top - low))
    if in_tolerances and high > 0:
        colours = np.where((clipped > 0)[..., None], beyond(0.55 + 0.45 * clipped / high), colours)
    return colours


def _draw_bar(bar: Axes, low: float, high: float, heat_grid: HeatGrid) -> None:
    ramp = np.linspace(low, high, _SHADES)[:, None]
    image = _colours(ramp, low, high, heat_grid.in_tolerances)
    bar.imshow(image, aspect="auto", origin="lower", extent=(0.0, 1.0, low, high), interpolation="none")
    style_axes(bar)
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    step = max(1, math.ceil((high - low) / 8))
    ticks = list(range(int(low), int(high) + 1, step))
    if heat_grid.in_tolerances:
        ticks = sorted({*range(0, int(low) - 1, -step), *range(0, int(high) + 1, step)})
        bar.axhline(0.0, color=COLOURS["ink"], linewidth=1.5)
    bar.set_yticks(ticks, labels=["1" if tick == 0 and heat_grid.in_tolerances else f"1e{tick:+03d}" for tick in ticks])
    bar.set_ylabel("difference / tolerance" if heat_grid.in_tolerances else "absolute difference")
