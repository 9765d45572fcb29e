"""The plots' colours: what a page in the light scheme and a PNG show, and the CSS variables that a page may set instead."""

from __future__ import annotations

from matplotlib.axes import Axes

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
