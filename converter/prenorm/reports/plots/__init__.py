"""The plots of a report, as SVG for pages and as PNG for a model card.

matplotlib is imported by these modules and nowhere else, and nothing that a command needs to start imports them. The same
report gives the same bytes with the same version of matplotlib: no dates, fixed ids, and no settings of the user's.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from prenorm.errors import UsageProblem
from prenorm.reports.model import Report
from prenorm.reports.plots.drawing import NARROW, WIDE, as_png, as_svg, own_settings
from prenorm.reports.plots.error_plot import draw_points
from prenorm.reports.plots.heat_map import MOST_LABELS, draw_grid
from prenorm.reports.plots.scale import VARIABLES
from prenorm.reports.plots.svg import finish
from prenorm.reports.series import describe_grid, describe_points, finding, grid, grid_finding, points

_PNG_DPI = 240


class NotebookFigure(Figure):
    """A figure that a notebook shows, whatever its backend for plots is."""

    def _repr_png_(self) -> bytes:
        return as_png(self)


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
    with own_settings("errors"):
        figure = NotebookFigure(figsize=WIDE, dpi=150, facecolor="white", layout="constrained")
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
    with own_settings("errors"):
        figure = Figure(figsize=NARROW, dpi=_PNG_DPI, facecolor="white", layout="constrained")
        draw_points(figure, plotted, narrow=True, title=finding(plotted))
    return as_png(figure)


def plot_svg(report: Report, *, narrow: bool = False) -> str:
    """Draw the error plot as one `<svg>` element. In a page it takes its colours from `--plot-...` variables.

    Args:
        report: the report.
        narrow: for a narrow screen.

    Returns:
        The element, which is a file too.
    """
    plotted, name = points(report), "errors-narrow" if narrow else "errors"
    with own_settings(name):
        figure = Figure(figsize=NARROW if narrow else WIDE, layout="constrained")
        hover = draw_points(figure, plotted, narrow=narrow)
        drawn = as_svg(figure)
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
    (width, _), name = (NARROW, "positions-narrow") if narrow else (WIDE, "positions")
    with own_settings(name):
        figure = Figure(figsize=(width, 1.4 + 0.2 * min(len(plotted.labels), MOST_LABELS)), layout="constrained")
        draw_grid(figure, plotted)
        drawn = as_svg(figure)
    title = grid_finding(plotted)
    return finish(drawn, name, title=title, description=describe_grid(plotted), colours=VARIABLES, hover={})
