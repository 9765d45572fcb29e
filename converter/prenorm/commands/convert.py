"""The flow: read, normalize, describe, plan, write, prove, publish. Each step takes values and returns values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.keywords import takes_keywords
from prenorm.commands.opening import open_source
from prenorm.folder.card.command import command
from prenorm.folder.card.names import PublicNames
from prenorm.folder.card.options import read_own_text
from prenorm.folder.staging import check_output, publish, staging_folder
from prenorm.hub.addresses import hub_file
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.understood import Prepared, prepare
from prenorm.mapping.warnings import NOT_JUDGED
from prenorm.options import ConvertOptions, StrPath
from prenorm.reports.failure import ParityFailed

if TYPE_CHECKING:
    from prenorm.reports.model import Report


@dataclass(frozen=True)
class Conversion:
    """A finished conversion. `seconds` says how long each stage took."""

    output: Path
    plan: ConversionPlan
    report: Report
    warnings: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)


@takes_keywords(ConvertOptions)
def convert(checkpoint: StrPath, output: StrPath, options: ConvertOptions) -> Conversion:
    """Convert a checkpoint into a proven folder at `output`, or leave `output` as it was and raise.

    Args:
        checkpoint: the file that fairseq or DinkyTrain saved; on the Hub, `hf://org/name/path.pt[@revision]`.
        output: the folder to make.
        options: what a user can choose.

    Returns:
        The folder, its plan and the report that proves it.

    Raises:
        UsageProblem: an argument or a file that does not fit.
        NotRepresentable: no Hugging Face architecture computes exactly the same.
        UnreadableCheckpoint: the file is damaged, incomplete or unsafe.
        ParityFailed: the written model does not compute the same; its `report` says where.
        HubProblem: the Hub does not hand out the checkpoint.
    """
    target, watch, clock = Path(output), options.progress, _Clock()
    here = [] if hub_file(str(checkpoint)) else [Path(checkpoint)]
    with clock.measure("read"):
        check_output(target, overwrite=options.overwrite, inputs=[*here, *options.paths])
        own = read_own_text(options, options.repo_id)
        prepared = prepare(open_source(checkpoint, watch), options)
        told = (*prepared.warnings, *own.warnings())
        for text in told:
            watch.warn(text)
        again = _again(checkpoint, prepared, options)
    with clock.measure("import"):  # torch, which inspect and refusals do not wait for
        from prenorm.commands.assemble import prove_folder, write_folder
    with staging_folder(target) as staging:
        with clock.measure("write"):
            write_folder(prepared, staging, allow_nonfinite=options.allow_nonfinite, watch=watch)
        with clock.measure("prove"):
            try:
                report = prove_folder(prepared, staging, options, watch, own=own, command=again)
            except ValueError as error:
                raise ParityFailed(f"the written model cannot be compared: {error}", subject=target) from error
        if not report.agrees:
            raise _failure(report, target)
        with clock.measure("publish"):
            publish(staging, target, overwrite=options.overwrite)
    if not report.judged:
        told = (*told, NOT_JUDGED)
        watch.warn(NOT_JUDGED)
    return Conversion(target, prepared.plan, report, told, clock.seconds)


def _again(checkpoint: StrPath, prepared: Prepared, options: ConvertOptions) -> str:
    """Return the command that makes the folder again; a checkpoint of the Hub is named with its commit."""
    origin = prepared.checkpoint.origin
    place = "hf://{repo_id}/{path}@{commit}".format(**origin) if origin else Path(checkpoint)
    return command(place, options, tells=PublicNames.of_keys(prepared.tensors).tells)


def _failure(report: Report, output: Path) -> ParityFailed:
    failed = [check.name for check in report.checks if not check.passed]
    where = report.first_divergence
    unequal = [row.target or row.source for row in report.tensors if row.equal is False]
    return ParityFailed(
        f"the converted model does not compute what the checkpoint computes (failed: {', '.join(failed)}"
        + (f"; first diverging module: {where}" if where else "")
        + f"), so {output} was not written",
        problems=[*report.problems, *(f"'{name}' is not bit-equal to its source" for name in unequal)],
        advice="This is a fault of prenorm: please report it with the output of prenorm inspect",
        report=report,
    )


class _Clock:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
