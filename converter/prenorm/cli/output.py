"""The options that only the command line has: what is shown, and which reports are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prenorm.cli.session import COMMON_OPTIONS
from prenorm.errors import UsageProblem
from prenorm.files import or_nearest
from prenorm.options import (
    CONVERT_MODES,
    CONVERT_RUN_MODES,
    VERIFY_MODES,
    CompletionOptions,
    InspectOptions,
    Kind,
    Modes,
    OptionGroup,
    PushOptions,
    RecordOptions,
    Section,
    StrPath,
    option,
)

if TYPE_CHECKING:
    from prenorm.reports.model import Report


def _common_flag(name: str) -> Any:
    flag, text = COMMON_OPTIONS[name]
    return option(False, text, Section.OUTPUT, kind=Kind.FLAG, flag=flag)


@dataclass(frozen=True, repr=False, kw_only=True)
class ConsoleOptions(OptionGroup):
    """What is shown: the options of all commands."""

    as_json: bool = _common_flag("as_json")
    quiet: bool = _common_flag("quiet")
    debug: bool = _common_flag("debug")


@dataclass(frozen=True, repr=False, kw_only=True)
class InspectionOutput(ConsoleOptions):
    """What is shown of an inspection, and whether its outcome is an exit code."""

    tensors: bool = option(
        False, "List every tensor and every global of the pickle, too.", Section.OUTPUT, kind=Kind.FLAG
    )
    check: bool = option(
        False, "End with the exit code that convert would end with, if CHECKPOINT cannot be converted.", Section.OUTPUT,
        kind=Kind.FLAG,
    )  # fmt: skip


@dataclass(frozen=True, repr=False, kw_only=True)
class ReportOptions(ConsoleOptions):
    """What is shown, and which reports are written."""

    reports: Sequence[StrPath] = option(
        (), "Also write the report here, pass or fail; may repeat. The suffix picks the form: .json .md .html .xml.",
        Section.OUTPUT, kind=Kind.PATH, flag="--report", metavar="FILE", repeats=True,
    )  # fmt: skip

    def check(self, folder: StrPath) -> None:
        """Check, before a long run, that the reports can be written.

        Args:
            folder: the model folder, to which no report may go.

        Raises:
            UsageProblem: if a suffix names no form of report, or the folder for it is missing or the model's own.
        """
        from prenorm.reports import check_suffix

        for path in map(Path, self.reports):
            check_suffix(path)
            advice = "Choose an existing folder outside OUTPUT"
            if not path.absolute().parent.is_dir():
                raise UsageProblem("the report cannot be written there", subject=path, advice=or_nearest(path, advice))
            if Path(folder).absolute() in path.absolute().parents:
                raise UsageProblem("the report cannot be written there", subject=path, advice=advice)

    def write(self, report: Report) -> None:
        """Write the report in every form that was asked for.

        Args:
            report: the report.
        """
        from prenorm.reports import write_report

        for path in map(Path, self.reports):
            write_report(path, report)


# What each command takes: the groups of what it does, one for each of its modes, and the group of what it shows.
GROUPS: Mapping[str, tuple[Modes[Any], type[OptionGroup]]] = {
    "inspect": (Modes((InspectOptions,)), InspectionOutput),
    "convert": (CONVERT_MODES, ReportOptions),
    "convert-run": (CONVERT_RUN_MODES, ConsoleOptions),
    "verify": (VERIFY_MODES, ReportOptions),
    "record": (Modes((RecordOptions,)), ConsoleOptions),
    "push": (Modes((PushOptions,)), ConsoleOptions),
    "completion": (Modes((CompletionOptions,)), ConsoleOptions),
}
