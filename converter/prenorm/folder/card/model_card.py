"""The model card: README.md of the folder, with what is true of this conversion and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prenorm.files import PLOT_FILE
from prenorm.folder.card.front_matter import front_matter
from prenorm.folder.card.limits import limits
from prenorm.folder.card.names import PublicNames
from prenorm.folder.card.options import OwnText
from prenorm.folder.card.source import labels, source, title, training
from prenorm.folder.card.usage import usage
from prenorm.reports.environment import package_version
from prenorm.reports.markdown_text import escape
from prenorm.reports.model import Report
from prenorm.reports.plots.series import plot_description
from prenorm.reports.table import parity_rows
from prenorm.source.training import Producer

if TYPE_CHECKING:
    from prenorm.mapping.plan import ConversionPlan


def model_card(
    plan: ConversionPlan, report: Report, *, has_tokenizer: bool, own: OwnText, command: str, names: PublicNames
) -> str:
    """The card's Markdown, front matter included. It names no path, host or user.

    Args:
        own: what the user brings; its text comes first.
        command: the command that makes the folder again.
        names: which names of the checkpoint's may be told.
    """
    lines = [
        "---",
        front_matter(plan, own).rstrip("\n"),
        "---",
        "",
        *([] if own.has_title else [f"# {title(plan)}", ""]),
        *([own.body, ""] if own.body else []),
        *_introduction(plan),
        *usage(plan, has_tokenizer=has_tokenizer, repo_id=own.repo_id),
        *labels(plan),
        *source(plan, report, names),
        *training(plan),
        *_parity(report),
        *_reproduction(command),
        *limits(plan, names, has_tokenizer=has_tokenizer),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _introduction(plan: ConversionPlan) -> list[str]:
    return [
        f"{plan.target.card.introduction}, trained with "
        f"{_program(plan)} and converted with prenorm {package_version('prenorm')}. It loads in transformers without "
        "custom code, and was compared with what the checkpoint computes before it was written: see [Parity](#parity).",
        "",
    ]


def _program(plan: ConversionPlan) -> str:
    producer = plan.description.producer
    if producer is Producer.UNKNOWN:
        return "fairseq or DinkyTrain"
    return "DinkyTrain" if producer.is_dinkytrain else "fairseq"


def _parity(report: Report) -> list[str]:
    return [
        "## Parity",
        "",
        f"The folder was loaded and compared, in {report.compute_dtype}, with {_reference(report)}: module by module and on "
        "the logits. Every tensor was compared bit by bit with the checkpoint's. `parity_report.json` has all numbers.",
        "",
        "| check | largest difference | tolerance | outcome |",
        "|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in parity_rows(report)),
        "",
        f"Verdict: **{report.verdict}**.",
        *([] if report.judged else ["The weights hold NaN or infinity, on which agreement could not be judged."]),
        "",
        f"![{escape(plot_description(report))}]({PLOT_FILE})",
        "",
    ]


def _reference(report: Report) -> str:
    if report.reference == "builtin":
        return "an independent implementation of fairseq's forward pass on the checkpoint's own tensors"
    return f"{escape(report.reference)} itself"


def _reproduction(command: str) -> list[str]:
    torch = package_version("torch").partition("+")[0]
    return [
        "## Reproduce",
        "",
        f"prenorm {package_version('prenorm')} with torch {torch} made this folder, from the files named under "
        "[Source](#source), with",
        "",
        "```sh",
        command,
        "```",
        "",
    ]
