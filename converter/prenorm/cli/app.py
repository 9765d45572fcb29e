"""The commands: what each is called, takes and does. Everything that prints is in `console`, `inspection` and `judgement`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from prenorm.cli.command import OptionCommand
from prenorm.cli.signals import closed_pipe_told, resumable_push
from prenorm.errors import ExitCode

if TYPE_CHECKING:
    from prenorm.cli.output import ConsoleOptions, InspectionOutput, JsonOptions, ReportOptions
    from prenorm.options import (
        ConvertOptions,
        FolderOnlyOptions,
        GoldenOptions,
        InspectOptions,
        PushOptions,
        RecordOptions,
        VerifyOptions,
    )


@dataclass
class Session:
    """What is known of the command while it runs.

    Attributes:
        debug: whether an error is shown with its traceback.
    """

    debug: bool = False


class CommandGroup(click.Group):
    """The commands, which a closed pipe ends by `ReaderGone`."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the arguments, and print help where it is asked for.

        Args:
            *args: click's.
            **extra: click's.

        Returns:
            click's.
        """
        with closed_pipe_told():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Args:
            ctx: click's.

        Returns:
            click's.
        """
        with closed_pipe_told():
            return super().invoke(ctx)


_HELP = """Convert fairseq's pre-LayerNorm RoBERTa checkpoints to Hugging Face folders, and prove it.

\b
Exit codes: 0 done and proven, 1 parity failed, 2 usage, 3 the model cannot be represented exactly,
4 the checkpoint is unreadable, corrupt or unsafe, 5 Hub or network.
"""


@click.group(
    "prenorm",
    cls=CommandGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="prenorm")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.  [default: off]")
@click.pass_obj
def prenorm(session: Session, debug: bool) -> None:
    """Keep the options of all commands.

    Args:
        session: of the running command.
        debug: whether an error is shown with its traceback.
    """
    session.debug = debug


def inspect(options: InspectOptions, output: InspectionOutput) -> int:
    """Show what CHECKPOINT holds, what it converts to, and what its pickle names. Nothing in it is run.

    Args:
        options: which checkpoint, and how it is understood.
        output: what is shown.

    Returns:
        With `--check` the exit code that `convert` would end with, else 0.
    """
    from prenorm.cli import console, inspection
    from prenorm.commands.inspect import inspect as run

    with console.ConsoleProgress() as progress:
        result = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json(result.to_dict())
    else:
        inspection.print_inspection(result, tensors=output.tensors)
    return (result.refusal_code or ExitCode.DONE) if output.check else ExitCode.DONE


def convert(options: ConvertOptions, output: ReportOptions) -> None:
    """Convert CHECKPOINT into the model folder OUTPUT, and prove that it computes the same; or write nothing.

    Args:
        options: what is converted, and how.
        output: what is shown and written.
    """
    from prenorm.cli import console, conversion
    from prenorm.options import ConvertAndPushOptions

    output.check(options.output)
    if isinstance(options, ConvertAndPushOptions):
        conversion.convert_and_push(options, output)
        return
    result = conversion.convert(options, output)
    if output.as_json:
        console.print_json(conversion.as_json(result))
    elif not output.quiet:
        conversion.print_conversion(result)


def verify(options: VerifyOptions | GoldenOptions | FolderOnlyOptions, output: ReportOptions) -> ExitCode:
    """Judge a folder, local or a repo id of the Hub, against CHECKPOINT. It reads only, and lists all that disagrees.

    Args:
        options: what is judged, by what and how.
        output: what is shown and written.

    Returns:
        Whether the folder passed.
    """
    from prenorm.cli import console, judgement
    from prenorm.commands.verify import verify as run

    output.check(options.folder)
    with judgement.shown_if_it_fails(output), console.ConsoleProgress(quiet=output.quiet) as progress:
        report = run.with_options(replace(options, progress=progress))
    judgement.show_judgement(report, output)
    return ExitCode.DONE if report.passed else ExitCode.PARITY_FAILED


def record(options: RecordOptions, output: JsonOptions) -> None:
    """Store in the file GOLDEN what CHECKPOINT computes, so that verify --golden needs neither it nor fairseq.

    Args:
        options: what is recorded, and how.
        output: what is shown.
    """
    from prenorm.cli import console
    from prenorm.commands.record import record as run

    with console.ConsoleProgress() as progress:
        golden = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json(golden.facts)
    else:
        console.print_recording(options.golden, golden.facts)


def push(options: PushOptions, output: ConsoleOptions) -> None:
    """Send to the repo REPO_ID of the Hub what it lacks of FOLDER, which prenorm convert wrote and proved.

    Args:
        options: what is pushed, and how.
        output: what is shown.
    """
    from prenorm.cli import console
    from prenorm.commands.push import push as run

    with resumable_push(options.folder), console.ConsoleProgress(quiet=output.quiet) as progress:
        result = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json(result.to_dict())
    elif not output.quiet:
        console.print_push(result)


for _function in (inspect, convert, verify, record, push):
    prenorm.add_command(OptionCommand.of(_function))
