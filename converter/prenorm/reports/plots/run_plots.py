"""The plots of a run: the training as the checkpoints record it, how far weights moved, and the parity of each member."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from prenorm.reports.plots.drawing import NARROW, WIDE, as_png, as_svg, own_settings
from prenorm.reports.plots.scale import COLOURS, VARIABLES, style_axes
from prenorm.reports.plots.svg import finish
from prenorm.reports.run_model import RunReport
from prenorm.reports.run_series import (
    ParityPoint,
    layer_names,
    movement_finding,
    parity_finding,
    parity_points,
    rate_line,
    training_finding,
    training_lines,
)

_Hover = dict[str, list[str]]
_STYLES = ((COLOURS["tolerance"], "--"), (COLOURS["point"], "-"))
_MOST_LAYERS = 40  # that are named


def has_plot(report: RunReport, name: str) -> bool:
    """Return whether there is anything to draw.

    Args:
        report: of the run.
        name: one of `RUN_PLOTS`.

    Returns:
        False where no checkpoint records what the plot shows.
    """
    if name == "training":
        return bool(training_lines(report) or rate_line(report).values)
    return bool(report.movements if name == "movement" else parity_points(report))


def run_png(report: RunReport, name: str) -> bytes:
    """Draw a plot as a PNG file: white, because it is shown in either colour scheme.

    Args:
        report: of the run.
        name: one of `RUN_PLOTS`.

    Returns:
        The file.
    """
    title, draw = RUN_PLOTS[name]
    with own_settings(name):
        figure = Figure(figsize=WIDE, dpi=150, facecolor="white", layout="constrained")
        figure.suptitle(title(report), x=0.01, ha="left", fontweight="bold", color=COLOURS["ink"], parse_math=False)
        draw(figure, report)
    return as_png(figure)


def run_svg(report: RunReport, name: str, *, narrow: bool = False) -> str:
    """Draw a plot as one `<svg>` element, which takes its colours from the page.

    Args:
        report: of the run.
        name: one of `RUN_PLOTS`.
        narrow: for a narrow screen.

    Returns:
        The element.
    """
    title, draw = RUN_PLOTS[name]
    prefix = f"{name}-narrow" if narrow else name
    with own_settings(prefix):
        figure = Figure(figsize=NARROW if narrow else WIDE, layout="constrained")
        hover = draw(figure, report)
        drawn = as_svg(figure)
    words = title(report)
    return finish(drawn, prefix, title=words, description=_DESCRIPTIONS[name], colours=VARIABLES, hover=hover)


def _draw_training(figure: Figure, report: RunReport) -> _Hover:
    lines, rate = training_lines(report), rate_line(report)
    panels = [lines, [rate] if rate.values else []]
    axes = figure.subplots(sum(map(bool, panels)), 1, sharex=True, squeeze=False)[:, 0]
    for panel, shown_lines in zip(axes, filter(None, panels), strict=True):
        _quiet(panel)
        for line, (colour, dashes) in zip(shown_lines, _STYLES[-len(shown_lines) :], strict=True):
            panel.plot(line.updates, line.values, dashes, color=colour, linewidth=1.4, label=line.label)
            if len(line.values) == 1:
                panel.plot(line.updates, line.values, "o", color=colour, markersize=3.5)
        panel.set_ylabel("learning rate" if shown_lines[0] is rate else "loss")
    axes[-1].set_xlabel("updates")
    if lines:
        axes[0].legend(frameon=False, labelcolor=COLOURS["ink"])
    return {}


def _draw_movement(figure: Figure, report: RunReport) -> _Hover:
    names = layer_names(report.movements)
    values = np.array([[step.layers.get(name, math.nan) for step in report.movements] for name in names])
    values = np.where(values > 0, values, np.nan)
    axes = figure.add_subplot()
    style_axes(axes)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.1, 1.0)
    shades = axes.imshow(
        values, aspect="auto", interpolation="none", cmap=matplotlib.colormaps["cividis"],
        norm=LogNorm(low, high if high > low else low * 1.01),
    )  # fmt: skip
    step = math.ceil(len(names) / _MOST_LAYERS)
    axes.set_yticks(range(0, len(names), step), labels=names[::step], parse_math=False)
    updates = {member.name: member.updates for member in report.members}
    places = range(0, len(report.movements), max(1, math.ceil(len(report.movements) / 8)))
    axes.set_xticks(places, labels=[str(updates.get(report.movements[at].after)) for at in places])
    axes.set_xlabel("updates")
    bar = figure.colorbar(shades, ax=axes)
    style_axes(bar.ax)
    bar.set_label("relative change since the checkpoint before")
    return {}


def _draw_parity(figure: Figure, report: RunReport) -> _Hover:
    axes = figure.add_subplot()
    _quiet(axes)
    plotted = parity_points(report)
    axes.axhline(1.0, color=COLOURS["tolerance"], linestyle="--", linewidth=1.5, label="tolerance")
    hover: _Hover = {}
    for key, marker, colour, label, points in _groups(plotted):
        # What differs in nothing has no margin, and what is not done is beyond any: they stand at the top and the bottom.
        heights = [0.3 if not point.is_done else 1 / point.margin if point.margin else math.nan for point in points]
        (line,) = axes.plot(
            [point.updates for point in points], heights, marker, color=colour, markersize=4.5, label=label, zorder=3
        )
        line.set_gid(key)
        hover[key] = [point.tip for point in points if not point.is_done or point.margin]
    axes.set_yscale("log")
    axes.set_ylabel("nearest difference / tolerance")
    axes.set_xlabel("updates")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=COLOURS["ink"])
    return hover


def _groups(points: Sequence[ParityPoint]) -> list[tuple[str, str, str, str, list[ParityPoint]]]:
    """Return the marks of each kind that there is."""
    done = [point for point in points if point.is_done]
    others = [point for point in points if not point.is_done]
    groups = [
        ("done", "o", COLOURS["point"], "passed", done),
        ("open", "X", COLOURS["failed"], "not done", others),
    ]
    return [group for group in groups if group[-1]]


def _quiet(axes: Axes) -> None:
    style_axes(axes)
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.6)
    axes.set_axisbelow(True)


# Name, what its title says, and what draws it. The names are those of the files, too.
RUN_PLOTS: Mapping[str, tuple[Callable[[RunReport], str], Callable[[Figure, RunReport], _Hover]]] = {
    "training": (training_finding, _draw_training),
    "movement": (movement_finding, _draw_movement),
    "parity": (parity_finding, _draw_parity),
}
_DESCRIPTIONS = {
    "training": "Loss and learning rate by updates, as the checkpoints record them.",
    "movement": "For each layer, how far its weights moved from one checkpoint to the next, relative to their size.",
    "parity": "For each checkpoint, its nearest difference divided by its tolerance; below 1 is within.",
}
