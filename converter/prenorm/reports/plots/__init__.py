"""The plots of a report, as SVG for pages and as PNG for a model card.

matplotlib is imported by these modules and nowhere else, and nothing that a command needs to start imports them. The same
report gives the same bytes with the same version of matplotlib: no dates, fixed ids, and no settings of the user's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prenorm.errors import UsageProblem
from prenorm.reports.model import Report
from prenorm.reports.plots.error_plot import draw_points
from prenorm.reports.plots.heat_map import MOST_LABELS, draw_grid
from prenorm.reports.plots.scale import VARIABLES
from prenorm.reports.plots.svg import finish
from prenorm.reports.series import describe_grid, describe_points, finding, grid, grid_finding, points

_WIDE, _NARROW = (10.0, 4.6), (5.0, 3.8)  # inches, of 72 SVG units; the narrow one can be read on a phone
_PNG_DPI = 240
_SETTINGS: dict[Any, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # the one that matplotlib brings
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.image_inline": True,
}


class NotebookFigure(Figure):
    """A figure that a notebook shows, whatever its backend for plots is."""

    def _repr_png_(self) -> bytes:
        return _as_png(self)


def plot_figure(report: Report) -> Figure:
    """Draw the error plot.

    Args:
        report: the report.

    Returns:
        The figure, which belongs to no backend.

    Raises:
        UsageProblem: if the report compares no modules, as that of a trial of fitness does.
    """
    if report.is_fitness:
        raise UsageProblem("a report of fitness compares no modules, so it has no plot", advice="Plot one of parity")
    with _own_settings("errors"):
        figure = NotebookFigure(figsize=_WIDE, dpi=150, facecolor="white", layout="constrained")
        draw_points(figure, points(report), title=finding(points(report)))
    return figure


def plot_png(report: Report) -> bytes:
    """Draw the error plot as a PNG file for a model card: white, because the Hub shows it in either colour scheme.

    Args:
        report: the report.

    Returns:
        The file, 1200 pixels wide, which can be read at a third of that, too.
    """
    plotted = points(report)
    with _own_settings("errors"):
        figure = Figure(figsize=_NARROW, dpi=_PNG_DPI, facecolor="white", layout="constrained")
        draw_points(figure, plotted, narrow=True, title=finding(plotted))
    return _as_png(figure)


def plot_svg(report: Report, *, narrow: bool = False) -> str:
    """Draw the error plot as one `<svg>` element. In a page it takes its colours from `--plot-...` variables.

    Args:
        report: the report.
        narrow: for a narrow screen.

    Returns:
        The element, which is a file too.
    """
    plotted, name = points(report), "errors-narrow" if narrow else "errors"
    with _own_settings(name):
        figure = Figure(figsize=_NARROW if narrow else _WIDE, layout="constrained")
        hover = draw_points(figure, plotted, narrow=narrow)
        drawn = _as_svg(figure)
    title = finding(plotted)
    return finish(drawn, name, title=title, description=describe_points(plotted), colours=VARIABLES, hover=hover)


def position_svg(report: Report, *, narrow: bool = False) -> str | None:
    """Draw the heat map as one `<svg>` element.

    Args:
        report: the report.
        narrow: for a narrow screen.

    Returns:
        The element; None where the report has no differences by position.
    """
    plotted = grid(report)
    if plotted is None:
        return None
    (width, _), name = (_NARROW, "positions-narrow") if narrow else (_WIDE, "positions")
    with _own_settings(name):
        figure = Figure(figsize=(width, 1.4 + 0.2 * min(len(plotted.labels), MOST_LABELS)), layout="constrained")
        draw_grid(figure, plotted)
        drawn = _as_svg(figure)
    title = grid_finding(plotted)
    return finish(drawn, name, title=title, description=describe_grid(plotted), colours=VARIABLES, hover={})


@contextmanager
def _own_settings(salt: str) -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": f"prenorm {salt}"})
        yield


def _as_png(figure: Figure) -> bytes:
    out = BytesIO()
    with _own_settings("errors"):
        # `savefig` would draw all of it twice, the first time for the layout alone.
        FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return out.getvalue()


def _as_svg(figure: Figure) -> bytes:
    out = BytesIO()
    figure.savefig(out, format="svg", transparent=True)
    return out.getvalue()
