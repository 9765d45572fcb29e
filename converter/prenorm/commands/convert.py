"""`convert`: open, understand, plan, write, prove, publish. Each step takes values and returns values."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.commands.destination import output_of
from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import open_source, prepare_with_weights
from prenorm.folder.card.command import CardCommands, card_commands
from prenorm.folder.card.names import PublicNames
from prenorm.folder.card.options import read_user_text
from prenorm.folder.staging import check_output, publish, staging_folder
from prenorm.hub.addresses import hub_file
from prenorm.mapping.frequency import frequency_warning
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.understood import Prepared, TokenizerChoices
from prenorm.mapping.warnings import NOT_JUDGED
from prenorm.options import ConvertOptions
from prenorm.options.language import command_name
from prenorm.reports.failure import ParityFailed, require_all_judged

if TYPE_CHECKING:
    from prenorm.reports.model import Report


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        output: the folder.
        plan: what was written, tensor by tensor.
        report: the proof.
        warnings: what the user should know.
        tokenizer: which tokenizer the folder has and what it was made of, as a phrase.
        dictionary: fairseq's dictionary, where it lay and how many tokens it lists, as a phrase.
        seconds: how long each stage took.
    """

    output: Path
    plan: ConversionPlan
    report: Report
    warnings: tuple[str, ...]
    tokenizer: str = "none"
    dictionary: str = "none"
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Conversion to {self.output}: {self.plan.architecture}, {self.report.words}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: where the folder is, and the report."""
        title = f"<b>{html.escape(str(self.output))}</b>: {self.plan.architecture}"
        return f"<p>{title}</p>{self.report._repr_html_()}"


@with_keywords(ConvertOptions)
def convert(options: ConvertOptions) -> Conversion:
    """Convert a checkpoint into a proven folder at `output`, or leave `output` as it was and raise.

    The dictionary and the files of its tokenizer are looked for beside the checkpoint, unless options name them.

    Args:
        options: the arguments and keywords.

    Returns:
        The folder, its plan and the report that proves it.

    Raises:
        UsageProblem: if an argument or a file does not fit.
        NotRepresentable: if no Hugging Face architecture computes exactly the same.
        UnreadableCheckpoint: if the checkpoint is damaged, incomplete or unsafe.
        ParityFailed: if the written model does not compute the same; its `report` says where.
        NotJudged: with `strict`, if a part that changes what the folder computes was not judged; it has a `report`, too.
        HubProblem: if the Hub does not hand out the checkpoint.
    """
    return convert_checkpoint(options)


def convert_checkpoint(
    options: ConvertOptions,
    before_publishing: Callable[[Path, Report], None] | None = None,
    choices: TokenizerChoices | None = None,
) -> Conversion:
    """Do what `convert` does, and let a caller see the folder before it is published.

    Args:
        options: of the conversion.
        before_publishing: called with the complete staging folder and the report that proves it; what it raises leaves
            OUTPUT as it was.
        choices: the tokenizers of other checkpoints of the same run.

    Returns:
        The folder, its plan and the report that proves it.

    Raises:
        PrenormError: as `convert` does.
    """
    output, progress, clock = output_of(options), options.listener, _Clock()
    options = replace(options, output=output)
    with clock.measure("read"):
        progress.stage("Reading", 1)
        check_output(output, overwrite=options.overwrite, inputs=[*_local(options), *options.paths])
        user_text = read_user_text(options, options.repo_id)
        checkpoint = open_source(options.checkpoint, options)
        prepared = prepare_with_weights(checkpoint, options, choices)
        warnings = [*prepared.warnings, *user_text.warnings()]
        for text in warnings:
            progress.warn(text)
        commands = _commands(prepared, options)
    with clock.measure("import"):  # torch, which inspect and refusals do not wait for
        from prenorm.commands.assemble import prove_folder, write_folder
    foreign = frequency_warning(prepared, prepared.tokenization.dictionary if prepared.tokenization else None)
    if foreign is not None:
        warnings.append(foreign)
        progress.warn(foreign)
    with staging_folder(output) as staging:
        with clock.measure("write"):
            write_folder(prepared, staging, allow_nonfinite=options.allow_nonfinite, progress=progress)
        with clock.measure("prove"):
            report = prove_folder(prepared, staging, options, user_text=user_text, commands=commands)
        if not report.agrees:
            raise _failure(report, output)
        if options.strict:
            require_all_judged(report, output, ", so it was not written")
        if before_publishing is not None:
            before_publishing(staging, report)
        with clock.measure("publish"):
            publish(staging, output, overwrite=options.overwrite)
    if not report.judged:
        warnings.append(NOT_JUDGED)
        progress.warn(NOT_JUDGED)
    return Conversion(
        output, prepared.plan, report, tuple(warnings), str(prepared.tokenizer), str(prepared.dictionary_choice),
        clock.seconds,
    )  # fmt: skip


def _failure(report: Report, output: Path) -> ParityFailed:
    """Return the error for a model that does not compute what the checkpoint computes."""
    failed = ", ".join(check.name for check in report.checks if not check.passed)
    module = report.first_divergence
    unequal = [row.target or row.source for row in report.tensors if row.equal is False]
    return ParityFailed(
        f"the converted model does not compute what the checkpoint computes (failed: {failed}"
        + (f"; first diverging module: {module}" if module else "")
        + f"), so {output} was not written",
        report=report,
        problems=[*report.causes, *(f"'{name}' is not bit-equal to its source" for name in unequal)],
        advice=f"This is a fault of prenorm: please report it with the output of {command_name('inspect')}",
    )


def _local(options: ConvertOptions) -> list[Path]:
    """Return the checkpoint's path, if it does not lie on the Hub."""
    return [] if hub_file(str(options.checkpoint)) else [Path(options.checkpoint)]


def _commands(prepared: Prepared, options: ConvertOptions) -> CardCommands:
    """Return the commands that make the same folder and verify it; a checkpoint of the Hub is named with its commit."""
    origin = prepared.checkpoint.origin
    address = "hf://{repo_id}/{path}@{commit}".format(**origin) if origin else Path(options.checkpoint)
    options = replace(options, **prepared.named_files)  # type: ignore[arg-type]  # names of its fields
    return card_commands(address, options, tells=PublicNames.of_keys(prepared.tensors).tells)


class _Clock:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Generator[None, None, None]:
        """Keep the seconds that the block takes."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
