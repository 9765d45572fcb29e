"""What the plots show, as numbers and short names; drawing is `plots`' business."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prenorm.reports.details import NoiseFloor
from prenorm.reports.model import Report
from prenorm.reports.text import count, number, times, visible

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d{1,6})(?:\.(.+))?$")
_LABEL_LIMIT = 20
# The parts of a layer, by the end of their module names in either architecture.
_PARTS = {
    "self.query": "query",
    "self.key": "key",
    "self.value": "value",
    "attention.output.dense": "attention out",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
}


@dataclass(frozen=True)
class ModulePlace:
    """Where a module stands: `group` is a layer's number or a module outside the layers, `part` what in the layer."""

    group: str
    part: str
    in_layer: bool

    @property
    def label(self) -> str:
        """In one piece: 'layer 1, key'."""
        if not self.in_layer:
            return self.group
        return f"layer {self.group}, {self.part}" if self.part != "layer" else f"layer {self.group}"


@dataclass(frozen=True)
class Point:
    """One module's largest difference, with what it is held against. What is no number is never within tolerance."""

    name: str
    place: ModulePlace
    value: float
    tolerance: float | None
    noise: float | None
    passed: bool

    @property
    def failed(self) -> bool:
        """Whether it is beyond its tolerance."""
        return not (self.passed and 0 <= self.value < math.inf)


def place_of(module: str) -> ModulePlace:
    """Return the place of a module of the target.

    Args:
        module: the module's name.

    Returns:
        Its layer and part.
    """
    matched = _LAYER.search(module)
    if matched:
        inner = matched[2] or ""
        part = next((short for end, short in _PARTS.items() if inner.endswith(end)), inner or "layer")
        return ModulePlace(matched[1], _short(part), True)
    last = module.rsplit(".", 1)[-1]
    return ModulePlace("final norm" if last == "LayerNorm" else _short(last), "", False)


def points(report: Report) -> list[Point]:
    """Return the modules in computing order, and the logits behind them.

    Args:
        report: the report.

    Returns:
        One point for each.
    """
    floor = report.noise_floor or NoiseFloor()
    plotted = [
        Point(
            item.name,
            place_of(item.name),
            item.max_abs_diff,
            item.tolerance,
            floor.modules.get(item.name),
            item.passed,
        )
        for item in report.modules
    ]
    for check in report.checks:
        if check.name == "logits" and check.difference is not None:
            place = ModulePlace("logits", "", False)
            plotted.append(Point("logits", place, check.difference, check.tolerance, floor.logits, check.passed))
    return plotted


@dataclass(frozen=True)
class Margin:
    """How far the point that is nearest to its tolerance, or farthest beyond it, is away from it."""

    point: Point
    factor: float

    @property
    def sentence(self) -> str:
        """Where that is, by which factor, and both numbers."""
        point = self.point
        numbers = f"{point.place.label}, {number(point.value)} of {number(point.tolerance)}"
        if point.failed:
            return f"Up to {times(self.factor)} beyond tolerance: {numbers}."
        return f"At least {times(self.factor)} below every tolerance; nearest: {numbers}."


def margin(plotted: Sequence[Point]) -> Margin | None:
    """Find the point that decides.

    Args:
        plotted: the plot's points.

    Returns:
        Of those beyond their tolerance the farthest, else the nearest; None where no difference but zero has a tolerance.
    """
    known = [
        point for point in plotted if point.tolerance and 0 < point.value < math.inf and point.tolerance < math.inf
    ]
    beyond = [point for point in known if point.failed]
    chosen = max(beyond or known, key=lambda point: point.value / (point.tolerance or math.inf), default=None)
    if chosen is None or chosen.tolerance is None:
        return None
    ratio = chosen.value / chosen.tolerance
    return Margin(chosen, ratio if chosen.failed else 1 / ratio) if ratio >= 1 or not chosen.failed else None


def finding(plotted: Sequence[Point]) -> str:
    """Say in a title what the error plot shows.

    Args:
        plotted: the plot's points.

    Returns:
        A phrase.
    """
    failed, nearest = [point for point in plotted if point.failed], margin(plotted)
    if failed:
        return f"{len(failed)} of {len(plotted)} beyond tolerance, first {failed[0].place.label}"
    if nearest is not None and nearest.factor >= 1:
        return f"At least {times(nearest.factor)} below every tolerance"
    return "No difference at all" if plotted and not any(point.value for point in plotted) else "Differences by module"


def plot_description(report: Report) -> str:
    """Describe the error plot of a report: the alternative text of the PNG.

    Args:
        report: the report.

    Returns:
        Some sentences.
    """
    return describe_points(points(report))


def describe_points(plotted: Sequence[Point]) -> str:
    """Describe the error plot for who cannot see it.

    Args:
        plotted: the plot's points.

    Returns:
        Some sentences.
    """
    finite = [point for point in plotted if math.isfinite(point.value)]
    logits = sum(point.name == "logits" for point in plotted)
    compared = count(len(plotted) - logits, "module") + (" and the logits" if logits else "")
    if not finite:
        return f"{compared}; none has a finite difference."
    worst = max(finite, key=lambda point: point.value)
    failed = [point for point in plotted if point.failed]
    verdict = f"{len(failed)} beyond, first {failed[0].place.label}" if failed else "none beyond"
    return (
        f"{compared} in computing order on a logarithmic scale. Largest difference "
        f"{number(worst.value)}, at {worst.place.label}. Tolerances {span(p.tolerance for p in plotted)}: {verdict}."
        + (
            f" Float32 noise floor {span(p.noise for p in plotted)}."
            if any(p.noise is not None for p in plotted)
            else ""
        )
        + (f" {sum(p.value == 0 for p in plotted)} exactly zero." if any(p.value == 0 for p in plotted) else "")
    )


def span(values: Iterable[float | None]) -> str:
    """Return the range of those values that are numbers.

    Args:
        values: numbers, NaN, infinity or None.

    Returns:
        Such as '1.0e-10 to 3.0e-09'.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "unknown"
    low, high = number(min(known)), number(max(known))
    return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class HeatGrid:
    """The heat map: `values` [modules][positions], in units of each module's tolerance where all are known."""

    labels: Sequence[str]
    values: Sequence[Sequence[float]]
    in_tolerances: bool


def grid(report: Report) -> HeatGrid | None:
    """Return the differences by module and position.

    Args:
        report: the report.

    Returns:
        The heat map; None where the report has no positions.
    """
    positions = report.positions
    if positions is None or not any(positions.max_abs_diff):
        return None
    tolerances = {point.name: point.tolerance for point in points(report)}
    units = [tolerances.get(name) for name in positions.modules]
    labels = [place_of(name).label for name in positions.modules]
    known = [unit for unit in units if unit is not None and math.isfinite(unit) and unit > 0]
    if len(known) < len(units):
        return HeatGrid(labels, positions.max_abs_diff, False)
    return HeatGrid(
        labels, [[v / unit for v in row] for row, unit in zip(positions.max_abs_diff, known, strict=True)], True
    )


def grid_finding(plotted: HeatGrid) -> str:
    """Say in a title what the heat map shows.

    Args:
        plotted: the heat map.

    Returns:
        A phrase.
    """
    finite = [value for row in plotted.values for value in row if math.isfinite(value)]
    largest = max(finite, default=0.0)
    whole = len(finite) == sum(map(len, plotted.values))
    if plotted.in_tolerances and whole and 0 < largest <= 1:
        return f"At every position at least {times(1 / largest)} below tolerance"
    if plotted.in_tolerances and largest > 1:
        first = next(
            f"{label}, position {position}"
            for label, row in zip(plotted.labels, plotted.values, strict=True)
            for position, value in enumerate(row)
            if value > 1
        )
        return f"Beyond tolerance from {first}"
    return "Differences by module and position"


def describe_grid(plotted: HeatGrid) -> str:
    """Describe the heat map for who cannot see it.

    Args:
        plotted: the heat map.

    Returns:
        Some sentences.
    """
    columns = max(map(len, plotted.values))
    cells = [
        (value, label, position)
        for label, row in zip(plotted.labels, plotted.values, strict=True)
        for position, value in enumerate(row)
        if math.isfinite(value)
    ]
    if not cells:
        return f"{count(len(plotted.labels), 'module')} by {count(columns, 'position')}; no finite difference."
    value, label, position = max(cells, key=lambda cell: cell[0])
    unit = " of its tolerance" if plotted.in_tolerances else ""
    return (
        f"{count(len(plotted.labels), 'module')} by {count(columns, 'token position')}, as colours on a logarithmic "
        f"scale. Largest: {number(value)}{unit}, at {label}, position {position}."
    )


def _short(text: str) -> str:
    """Return ASCII on one line, for fonts that have nothing else, short enough to stand at an axis."""
    spelled = visible(text[: _LABEL_LIMIT + 1]).encode("ascii", "backslashreplace").decode("ascii")
    return spelled if len(spelled) <= _LABEL_LIMIT else spelled[: _LABEL_LIMIT - 2] + ".."
