"""The largest difference of every module, in computing order, against its tolerance and the float32 noise floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prenorm.reports.plots.scale import COLOURS, Decades, style_axes
from prenorm.reports.series import Point
from prenorm.reports.text import number, visible

_LABELLED_MODULES = 40  # up to here every module is named below the axis, beyond it every layer
_MOST_LABELS = 56
_MOST_LABELS_NARROW = 14
_LEAST_WIDTH = 3.0  # of a group, in units of a module
_NARROW_SHARE, _SHARE = 22, 55  # such a part of all modules is as wide as a name that is set upright


def draw_points(
    figure: Figure, points: Sequence[Point], *, narrow: bool = False, title: str = ""
) -> dict[str, list[str]]:
    """Draw the differences into a figure.

    Args:
        figure: an empty figure.
        points: the modules in computing order, and the logits.
        narrow: for a figure half as wide: layers are named, and their modules are not.
        title: what the plot shows.

    Returns:
        For each group of markers, by its id, the texts to show at them.
    """
    axes = figure.add_subplot()
    style_axes(axes)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", color=COLOURS["ink"], parse_math=False)
    if not points:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no module was compared", transform=axes.transAxes, ha="center", color=COLOURS["ink"])
        return {}
    each = len(points) <= _LABELLED_MODULES and not narrow  # modules are named
    room = 1.0 if each else max(_LEAST_WIDTH, len(points) / (_NARROW_SHARE if narrow else _SHARE))
    places = _across(points, 1.0 if each else _LEAST_WIDTH, room)
    limits = [value for point in points for value in (point.tolerance, point.noise) if value is not None]
    scale = Decades.over([*(point.value for point in points), *limits], rows=[point.value for point in points])
    _draw_layers(axes, points, places, scale, each, _MOST_LABELS_NARROW if narrow else _MOST_LABELS)
    if not each:
        # In a narrow figure beside the upright names, which stand at the ends.
        words, pad = ("layers", -30.0) if narrow else (_order_within_a_layer(points), None)
        axes.set_xlabel(words, labelpad=pad, parse_math=False)
    for values, colour, style, label in (
        ([point.tolerance for point in points], "tolerance", "--", "tolerance"),
        ([point.noise for point in points], "noise", ":", "float32 noise floor"),
    ):
        heights = [scale.height(v) if v is not None and 0 < v < math.inf else math.nan for v in values]
        if any(map(math.isfinite, heights)):
            axes.step(places, heights, style, where="mid", color=COLOURS[colour], linewidth=1.5, label=label)
    hover = _draw_markers(axes, points, places, scale)
    _draw_first_failure(axes, points, places)
    scale.mark(axes)
    axes.set_ylabel("largest absolute difference")
    axes.set_xlim(-1.5, places[-1] + 1.5)
    figure.legend(loc="outside lower center", ncols=2 if narrow else 6, frameon=False, labelcolor=COLOURS["ink"])
    return hover


def _across(points: Sequence[Point], least: float, room: float) -> list[float]:
    """Return the x of every point: one unit apart within a layer of some least width, and room around a lone one's name."""
    places: list[float] = []
    start = 0.0
    for _, group in groupby(points, key=lambda point: point.place.group):
        members = list(group)
        amount = len(members)
        width = max(float(amount), least if members[0].place.in_layer else room)
        places += [start + (width - amount) / 2 + index for index in range(amount)]
        start += width + 1.0
    return places


def _draw_layers(
    axes: Axes, points: Sequence[Point], places: Sequence[float], scale: Decades, each: bool, most: int
) -> None:
    """Draw a band behind every other layer, and at most so many names: of all modules, or of the groups."""
    groups = [list(members) for _, members in groupby(range(len(points)), key=lambda i: points[i].place.group)]
    names: dict[bool, list[tuple[float, str]]] = {True: [], False: []}  # of those set upright, and of the others
    for position, members in enumerate(groups):
        place, left, right = points[members[0]].place, places[members[0]] - 1.0, places[members[-1]] + 1.0
        if position % 2 and place.in_layer:
            axes.axvspan(left, right, color=COLOURS["band"], zorder=0.1, linewidth=0)
        if each and place.in_layer:
            axes.text(
                (left + right) / 2, scale.top, f"layer {place.group}", parse_math=False,
                ha="center", va="top", color=COLOURS["muted"],
            )  # fmt: skip
        for member in members if each else members[:1]:
            name = points[member].place.part if each and place.in_layer else place.group
            names[each or not place.in_layer].append((places[member] if each else (left + right) / 2, name))
    kept = [
        (tick, name, upright)
        for upright, ticks in names.items()
        for tick, name in ticks[:: math.ceil(len(ticks) / most) or 1]
    ]
    axes.set_xticks([tick for tick, _, _ in kept], labels=[name for _, name, _ in kept], parse_math=False)
    for text, (_, _, upright) in zip(axes.get_xticklabels(), kept, strict=True):
        text.set_rotation(90 if upright else 0)


def _order_within_a_layer(points: Sequence[Point]) -> str:
    first = next((point.place.group for point in points if point.place.in_layer), None)
    parts = [point.place.part for point in points if point.place.in_layer and point.place.group == first]
    return f"layers; within each: {', '.join(parts)}" if 0 < len(parts) <= 10 else "layers"


def _draw_markers(axes: Axes, points: Sequence[Point], places: Sequence[float], scale: Decades) -> dict[str, list[str]]:
    """Draw a dot below the tolerance, hollow at zero, and a cross beyond, so that colour is not all that tells."""
    heights = [scale.height(point.value) for point in points]
    axes.plot(places, heights, color=COLOURS["point"], linewidth=0.8, alpha=0.45, zorder=2)
    dot = 4.5 if len(points) <= _LABELLED_MODULES else 3.2
    hover = {}
    for key, marker, size, edge, fill, label in (
        ("within", "o", dot, COLOURS["point"], COLOURS["point"], "within tolerance"),
        ("zero", "o", dot, COLOURS["point"], "none", "exactly zero"),
        ("beyond", "X", 1.8 * dot, COLOURS["failed"], COLOURS["failed"], "BEYOND tolerance"),
    ):
        chosen = [index for index, point in enumerate(points) if _kind(point) == key]
        if not chosen:
            continue
        (line,) = axes.plot(
            [places[i] for i in chosen], [heights[i] for i in chosen], marker, markersize=size, label=label,
            markerfacecolor=fill, markeredgecolor=edge, markeredgewidth=1.0, zorder=3,
        )  # fmt: skip
        line.set_gid(key)
        hover[key] = [_tip(points[i]) for i in chosen]
    return hover


def _kind(point: Point) -> str:
    return "beyond" if point.failed else "zero" if point.value == 0 else "within"


def _tip(point: Point) -> str:
    limit = "" if point.tolerance is None else f", tolerance {number(point.tolerance)}"
    return f"{visible(point.name, 200)}: {number(point.value)}{limit}"


def _draw_first_failure(axes: Axes, points: Sequence[Point], places: Sequence[float]) -> None:
    first = next((index for index, point in enumerate(points) if point.failed), None)
    if first is None:
        return
    axes.axvline(places[first], color=COLOURS["failed"], linewidth=1.0, zorder=1)
    right = places[first] > places[-1] / 2
    axes.annotate(
        f"first beyond tolerance: {points[first].place.label}", (places[first], 1.0), parse_math=False,
        xycoords=("data", "axes fraction"), xytext=(0, 4), textcoords="offset points",
        ha="right" if right else "left", va="bottom", color=COLOURS["failed"],
    )  # fmt: skip
