"""The report of a run as one HTML page: what became of each checkpoint, what failed and why, and the plots of the run."""

from __future__ import annotations

from importlib.resources import files

from markupsafe import Markup

from prenorm.reports.html import Figure, Shown, content_policy
from prenorm.reports.plots.run_plots import RUN_PLOTS, has_plot, run_svg
from prenorm.reports.run_model import RunReport
from prenorm.reports.run_series import least_margin, metric_name, shared_warnings
from prenorm.reports.templating import html_environment

_STATES = {
    "done": Shown("passed", "✓", "DONE"),
    "failed": Shown("failed", "✗", "NOT DONE"),
    "left": Shown("not-judged", "?", "NOT DONE"),
}
_CAPTIONS = {
    "training": "As the checkpoints record it; fairseq's losses are in bits.",
    "movement": (
        "How far the weights of each layer moved from one checkpoint to the next: the Euclidean norm of the difference, "
        "divided by that of the earlier weights."
    ),
    "parity": (
        "For each checkpoint, the difference that is nearest to its tolerance, as a part of it. Point at a mark for its name."
    ),
}


def render(report: RunReport) -> str:
    """Make the page.

    Args:
        report: of the run.

    Returns:
        HTML, to be written in UTF-8.
    """
    return _rendered(report, is_part=False)


def render_part(report: RunReport) -> str:
    """Make the page as a part of another one, such as a notebook.

    Args:
        report: of the run.

    Returns:
        One element.
    """
    return _rendered(report, is_part=True)


def _rendered(report: RunReport, *, is_part: bool) -> str:
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    state = "done" if report.passed else "failed" if report.failures else "left"
    return (
        html_environment()
        .get_template("run.html.jinja")
        .render(
            is_part=is_part,
            report=report,
            verdict=_STATES[state],
            outcomes=_STATES,
            states=[state for state in _STATES if any(member.state == state for member in report.members)],
            margin=least_margin(report.members),
            metric=metric_name(report),
            figures=[_figure(report, name) for name in RUN_PLOTS if has_plot(report, name)],
            warnings=shared_warnings(report),
            policy=content_policy(script),
            style=Markup(style),
            script=Markup(script),
            zip=zip,
        )
    )


def _figure(report: RunReport, name: str) -> Figure:
    title, _ = RUN_PLOTS[name]
    wide, narrow = Markup(run_svg(report, name)), Markup(run_svg(report, name, narrow=True))
    return Figure(title(report), wide, narrow, _CAPTIONS[name])
