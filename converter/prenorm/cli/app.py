"""The commands: what each is called, takes and does. Everything that prints is in `console`, `inspection` and `judgement`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from prenorm.cli.command import OptionCommand, PageContext
from prenorm.cli.page import HELP_ROW, HelpPage
from prenorm.cli.session import COMMON_OPTIONS, Session, written
from prenorm.cli.signals import closed_pipe_told, resumable_push
from prenorm.errors import EXIT_CODES, ExitCode

if TYPE_CHECKING:
    from prenorm.cli.output import ConsoleOptions, InspectionOutput, ReportOptions
    from prenorm.options import (
        CompletionOptions,
        ConvertMemberOptions,
        ConvertOptions,
        ConvertRunOptions,
        FolderOnlyOptions,
        GoldenOptions,
        InspectOptions,
        PushOptions,
        RecordOptions,
        VerifyOptions,
    )


class CommandGroup(click.Group):
    """The commands, which a closed pipe ends by `ReaderGone`."""

    context_class = PageContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are of use.

        Args:
            ctx: click's.

        Returns:
            Their names.
        """
        return list(self.commands)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: the commands, the options of all of them, the exit codes, and examples.

        Args:
            ctx: click's.
            formatter: receives the text.
        """
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(self.help or "")
        sections = {
            "Commands": [(name, _summary(command)) for name, command in self.commands.items()],
            "Options, before or behind the command": [*COMMON_OPTIONS.values(), HELP_ROW],
            "Other options": [("--version", "Show the version and exit.")],
            "Exit codes": [(str(int(code)), words) for code, words in EXIT_CODES.items()],
        }
        assert isinstance(formatter, HelpPage)
        formatter.write_sections(sections)
        formatter.write_examples(self.epilog or "")

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
        """Run the command, whose sentences name options as a shell has them.

        Args:
            ctx: click's.

        Returns:
            click's.
        """
        from prenorm.options.language import Language, speaking  # the help of all commands does not wait for it

        with closed_pipe_told(), speaking(Language.COMMAND_LINE):
            return super().invoke(ctx)


def _summary(command: click.Command) -> str:
    """Return the first sentence of a command's help."""
    return (command.help or "").partition(". ")[0].replace("\n", " ").rstrip(".")


def _with_common_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, (flag, _) in COMMON_OPTIONS.items():
        function = click.option(flag, name, is_flag=True)(function)
    return function


@click.group(
    "prenorm",
    cls=CommandGroup,
    help="Convert fairseq's pre-LayerNorm RoBERTa checkpoints to Hugging Face folders, and prove it.",
    epilog="prenorm convert checkpoint_best.pt my-model\nprenorm push my-model my-name/my-model",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="prenorm")
@_with_common_options
@click.pass_context
def prenorm(context: click.Context, /, **_: object) -> None:
    """Keep the options that stand before the command's name.

    Args:
        context: of the running command.
    """
    session = context.ensure_object(Session)
    session.before = {name: value for name, value in written(context).items() if name != "version"}
    session.learn(session.before)


def inspect(options: InspectOptions, output: InspectionOutput) -> int:
    """Show what CHECKPOINT holds, what it converts to, and what its pickle names. Nothing in it is run.

    Examples:
        prenorm inspect checkpoint_best.pt
        prenorm inspect checkpoint_best.pt --check --json

    Args:
        options: which checkpoint, and how it is understood.
        output: what is shown.

    Returns:
        With `--check` the exit code that `convert` would end with, else 0.
    """
    from prenorm.cli import console, inspection
    from prenorm.cli.bars import ConsoleProgress
    from prenorm.commands.inspect import inspect as run

    with ConsoleProgress(quiet=output.quiet) as progress:
        result = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json(result.to_dict())
    elif not output.quiet:
        inspection.print_inspection(result, tensors=output.tensors)
    return (result.refusal_code or ExitCode.DONE) if output.check else ExitCode.DONE


def convert(options: ConvertOptions, output: ReportOptions) -> None:
    """Convert CHECKPOINT into the model folder OUTPUT, and prove that it computes the same; or write nothing.

    Without OUTPUT the folder has CHECKPOINT's name, in the working directory. The dictionary, and the files of its tokenizer,
    are looked for beside CHECKPOINT.

    Examples:
        prenorm convert checkpoint_best.pt
        prenorm convert checkpoint_best.pt --push my-name/my-model

    Args:
        options: what is converted, and how.
        output: what is shown and written.
    """
    from prenorm.cli import console, conversion
    from prenorm.commands.destination import next_commands, output_of
    from prenorm.options import ConvertAndPushOptions

    options = replace(options, output=output_of(options))
    output.check(output_of(options))
    if isinstance(options, ConvertAndPushOptions):
        conversion.convert_and_push(options, output)
        return
    result = conversion.convert(options, output)
    if output.as_json:
        console.print_json({**conversion.as_json(result), "next": next_commands(options)})
    elif not output.quiet:
        conversion.print_conversion(result)
        console.print_next(next_commands(options))


def convert_run(options: ConvertRunOptions | ConvertMemberOptions, output: ConsoleOptions) -> ExitCode:
    """Convert every checkpoint of the folder RUN into a proven folder in OUTPUT, several at a time.

    Each becomes OUTPUT/step-NNNNNN, of the updates that it records. One that fails stops no other. The same command goes on
    where it stopped, with what is new, and with what an option changes.

    Examples:
        prenorm convert-run checkpoints my-models --jobs 4
        prenorm convert-run checkpoints my-models --status

    Args:
        options: which run is converted, and how; or which member of it.
        output: what is shown.

    Returns:
        Whether all checkpoints are done and proven; with `--dry-run` always that it could be told.
    """
    from prenorm.cli import running
    from prenorm.options import ConvertMemberOptions

    if isinstance(options, ConvertMemberOptions):
        return running.convert_members(options, output)
    return running.convert_run(options, output)


def verify(options: VerifyOptions | GoldenOptions | FolderOnlyOptions, output: ReportOptions) -> ExitCode:
    """Judge FOLDER, local or a repo of the Hub, by CHECKPOINT. It reads only, and lists all that disagrees.

    Examples:
        prenorm verify checkpoint_best.pt my-model
        prenorm verify checkpoint_best.pt my-name/my-model

    Args:
        options: what is judged, by what and how.
        output: what is shown and written.

    Returns:
        Whether the folder passed.
    """
    from prenorm.cli import judgement
    from prenorm.cli.bars import ConsoleProgress
    from prenorm.commands.verify import verify as run

    output.check(options.folder)
    with judgement.shown_if_it_fails(output), ConsoleProgress(quiet=output.quiet) as progress:
        report = run.with_options(replace(options, progress=progress))
    judgement.show_judgement(report, output)
    return ExitCode.DONE if report.passed else ExitCode.PARITY_FAILED


def record(options: RecordOptions, output: ConsoleOptions) -> None:
    """Store in the file GOLDEN what CHECKPOINT computes, so that verify --golden needs neither it nor fairseq.

    Examples:
        prenorm record checkpoint_best.pt golden.npz
        prenorm verify my-model --golden golden.npz

    Args:
        options: what is recorded, and how.
        output: what is shown.
    """
    from prenorm.cli import console
    from prenorm.cli.bars import ConsoleProgress
    from prenorm.commands.record import record as run

    with ConsoleProgress(quiet=output.quiet) as progress:
        golden = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json({**golden.facts, "choices": golden.choices, "warnings": golden.warnings})
    elif not output.quiet:
        console.print_recording(options.golden, golden)


def push(options: PushOptions, output: ConsoleOptions) -> None:
    """Send to the repo REPO_ID of the Hub what it lacks of FOLDER, which prenorm convert wrote and proved.

    Examples:
        prenorm push my-model my-name/my-model --dry-run
        prenorm push my-model my-name/my-model --private

    Args:
        options: what is pushed, and how.
        output: what is shown.
    """
    from prenorm.cli import console
    from prenorm.cli.bars import ConsoleProgress
    from prenorm.commands.push import push as run

    with resumable_push(options.folder), ConsoleProgress(quiet=output.quiet) as progress:
        result = run.with_options(replace(options, progress=progress))
    if output.as_json:
        console.print_json(result.to_dict())
    elif not output.quiet:
        console.print_push(result)


def completion(options: CompletionOptions, output: ConsoleOptions) -> None:
    """Print the script that makes SHELL complete commands, options, their values and paths.

    Examples:
        prenorm completion bash >> ~/.bashrc
        prenorm completion zsh > "${fpath[1]}/_prenorm"

    Args:
        options: which shell.
        output: what is shown.
    """
    from prenorm.cli.completion import script

    text = script(prenorm, options.shell)
    if output.as_json:
        from prenorm.cli import console

        console.print_json({"shell": options.shell, "script": text})
    elif not output.quiet:
        click.echo(text, nl=False)


for _function in (inspect, convert, convert_run, verify, record, push, completion):
    prenorm.add_command(OptionCommand.of(_function))
