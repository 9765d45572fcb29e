"""The report of a run as GitHub-flavoured Markdown; the plots lie beside it, in `plots/`."""

from __future__ import annotations

from prenorm.reports.markdown import within
from prenorm.reports.plots.run_plots import RUN_PLOTS, has_plot
from prenorm.reports.run_model import RunReport
from prenorm.reports.run_series import least_margin, metric_name, shared_warnings
from prenorm.reports.templating import markdown_environment

_MARKS = {"done": "✅", "failed": "❌", "left": "⚠️"}


def render(report: RunReport) -> str:
    """Make the Markdown.

    Args:
        report: of the run.

    Returns:
        Less than 1 MiB in UTF-8, whatever is in the report.
    """
    text = (
        markdown_environment()
        .get_template("run.md.jinja")
        .render(
            report=report,
            headline="✅ The run is done" if report.passed else "❌ The run is NOT done",
            margin=least_margin(report.members),
            metric=metric_name(report),
            marks=_MARKS,
            plots=[(name, title(report)) for name, (title, _) in RUN_PLOTS.items() if has_plot(report, name)],
            warnings=shared_warnings(report),
            within=within,
        )
    )
    return text.rstrip("\n") + "\n"
