"""The command line: parse, one call, show. Everything that prints is here or in `console.py`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from prenorm.cli.decorators import (
    PATH,
    card_options,
    place,
    proof_options,
    publication_options,
    report_option,
    source_options,
)
from prenorm.cli.signals import Terminated, raise_on_termination
from prenorm.errors import ExitCode, PrenormError, UsageProblem, describe
from prenorm.options import COMPUTE_TYPES, RUNTIMES
from prenorm.reports.failure import ParityFailed

if TYPE_CHECKING:
    from prenorm.hub.push import Pushed
    from prenorm.reports.model import Report


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="prenorm")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.  [default: off]")
def prenorm(debug: bool) -> None:
    """Convert fairseq's pre-LayerNorm RoBERTa checkpoints to Hugging Face folders, and prove it.

    \b
    Exit codes: 0 done and proven, 1 parity failed, 2 usage, 3 the model cannot be represented exactly,
    4 the checkpoint is unreadable, corrupt or unsafe, 5 Hub or network.
    """


@prenorm.command()
@click.argument("checkpoint", type=place)
@source_options
def inspect(checkpoint: str | Path, as_json: bool, **options: Any) -> None:
    """Show what CHECKPOINT holds, what it converts to, and what its pickle names. Nothing in it is run."""
    from prenorm.commands.inspect import inspect as run

    found = run(checkpoint, **options)
    from prenorm.cli import console

    if as_json:
        console.print_json(found.to_dict())
    else:
        console.print_inspection(found)


@prenorm.command()
@click.argument("checkpoint", type=place)
@click.argument("output", type=PATH)
@source_options
@proof_options
@report_option
@card_options
@click.option("--allow-nonfinite", is_flag=True, help="Convert weights with NaN or infinity, unjudged.  [default: off]")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT in one step if it exists.  [default: off]")
@click.option(
    "--push", "repo_id", metavar="REPO_ID", help="Then push OUTPUT there; the card's code names it.  [default: no]"
)
@publication_options
@click.option("--quiet", is_flag=True, help="No progress, no warnings, no table.  [default: off]")
def convert(
    checkpoint: str | Path,
    output: Path,
    as_json: bool,
    quiet: bool,
    reports: tuple[Path, ...],
    repo_id: str | None,
    private: bool,
    pull_request: bool,
    retries: int,
    timeout: float,
    **options: Any,
) -> None:
    """Convert CHECKPOINT into the model folder OUTPUT, and prove that it computes the same; or write nothing."""
    from prenorm.cli import console
    from prenorm.commands.convert import convert as run

    _check_reports(reports, output)
    sending = _Publication(private, pull_request, retries, timeout)
    if repo_id is not None:
        sending.check(repo_id)
    with console.ConsoleProgress(quiet=quiet) as progress:
        try:
            result = run(checkpoint, output, repo_id=repo_id, progress=progress, **options)
        except ParityFailed as error:
            progress.__exit__()
            _show_failure(error, reports, as_json=as_json, quiet=quiet)
            raise
    _write_reports(reports, result.report)
    if not as_json and not quiet:
        console.print_conversion(result)
    pushed = sending.send(output, repo_id, quiet=quiet) if repo_id is not None else None
    if as_json:
        more = {} if pushed is None else {"push": pushed.to_dict()}
        console.print_json({**console.output_as_json(result), **more})
    elif pushed is not None and not quiet:
        console.print_push(pushed)


@prenorm.command()
@click.argument("paths", type=place, nargs=-1, required=True, metavar="[CHECKPOINT] FOLDER_OR_REPO")
@source_options
@proof_options
@click.option(
    "--runtime", type=click.Choice(RUNTIMES), default="bundled", show_default=True,
    help="What computes FOLDER: the bundled model, the installed transformers, or both.",
)  # fmt: skip
@click.option(
    "--compute", type=click.Choice(COMPUTE_TYPES), default="float64", show_default=True,
    help="What FOLDER computes in. float32, for large models, is judged by its rounding, which is measured.",
)  # fmt: skip
@click.option(
    "--revision", metavar="REV", help="Branch, tag or commit of a repo on the Hub.  [default: its main branch]"
)
@click.option(
    "--folder-only", is_flag=True,
    help="Judge nothing by CHECKPOINT: try FOLDER out in your own transformers, where people use it.  [default: off]",
)  # fmt: skip
@click.option("--golden", type=PATH, help="Judge by a file of prenorm record, without CHECKPOINT.  [default: none]")
@report_option
@click.option("--quiet", is_flag=True, help="No progress, no table.  [default: off]")
def verify(
    paths: tuple[str | Path, ...], as_json: bool, quiet: bool, reports: tuple[Path, ...], **options: Any
) -> None:
    """Judge a folder, local or a repo id of the Hub, against CHECKPOINT. It reads only, and lists all that disagrees."""
    from prenorm.cli import console
    from prenorm.commands import judge

    _check_reports(reports, Path(paths[-1]))
    report = judge(paths, **options)
    _write_reports(reports, report)
    if as_json:
        console.print_json(report.to_dict())
    elif not quiet:
        console.print_judgement(report)
    if not report.passed:
        sys.exit(ExitCode.PARITY_FAILED)


@prenorm.command()
@click.argument("checkpoint", type=place)
@click.argument("golden", type=PATH)
@source_options
@proof_options
def record(checkpoint: str | Path, golden: Path, as_json: bool, **options: Any) -> None:
    """Store in the file GOLDEN what CHECKPOINT computes, so that verify --golden needs neither it nor fairseq."""
    from prenorm.cli import console
    from prenorm.commands.record import record as run

    found = run(checkpoint, golden, **options)
    if as_json:
        console.print_json(found.facts)
    else:
        console.print_recording(golden, found.facts)


@prenorm.command()
@click.argument("folder", type=PATH)
@click.argument("repo_id")
@publication_options
@click.option("--revision", metavar="BRANCH", help="Commit to this branch; it is created if needed.  [default: main]")
@click.option("--message", help="The commit's title.  [default: that prenorm made and proved it]")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.  [default: off]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.  [default: off]")
@click.option("--quiet", is_flag=True, help="No progress, no table.  [default: off]")
def push(
    folder: Path,
    repo_id: str,
    as_json: bool,
    quiet: bool,
    private: bool,
    pull_request: bool,
    retries: int,
    timeout: float,
    **options: Any,
) -> None:
    """Send to the repo REPO_ID of the Hub what it lacks of FOLDER, which prenorm convert wrote and proved."""
    from prenorm.cli import console

    result = _Publication(private, pull_request, retries, timeout).send(folder, repo_id, quiet=quiet, **options)
    if as_json:
        console.print_json(result.to_dict())
    elif not quiet:
        console.print_push(result)


@dataclass(frozen=True)
class _Publication:
    """The options about publishing, and what they are for."""

    private: bool
    pull_request: bool
    retries: int
    timeout: float

    def check(self, repo_id: str) -> None:
        """What can be known before a long conversion: whether there is a name and a token to push with."""
        from prenorm.hub.push import check_push

        check_push(repo_id)

    def send(self, folder: Path, repo_id: str, *, quiet: bool, **options: Any) -> Pushed:
        """Pushes; when it is interrupted, the message speaks of that."""
        from prenorm.cli import console
        from prenorm.hub.patience import Patience
        from prenorm.hub.push import push as run

        patience = Patience(attempts=self.retries + 1, timeout=self.timeout)
        try:
            with console.ConsoleProgress(quiet=quiet) as progress:
                return run(
                    folder, repo_id, private=self.private, pull_request=self.pull_request,
                    patience=patience, progress=progress, **options,
                )  # fmt: skip
        except (KeyboardInterrupt, Terminated) as ended:
            code = ended.exit_code if isinstance(ended, Terminated) else 130
            _fail(f"interrupted; {folder} is untouched, and `prenorm push` finishes the job.", code, debug=False)


def _check_reports(reports: tuple[Path, ...], output: Path) -> None:
    from prenorm.reports import check_suffix

    for path in reports:
        check_suffix(path)
        if not path.absolute().parent.is_dir() or output.absolute() in path.absolute().parents:
            raise UsageProblem(
                "the report cannot be written there", subject=path, advice="Choose an existing folder outside OUTPUT"
            )


def _write_reports(reports: tuple[Path, ...], report: Report) -> None:
    from prenorm.reports import write_report

    for path in reports:
        write_report(path, report)


def _show_failure(error: ParityFailed, reports: tuple[Path, ...], *, as_json: bool, quiet: bool) -> None:
    from prenorm.cli import console

    if error.report is None:
        return
    _write_reports(reports, error.report)
    if as_json:
        console.print_json(error.report.to_dict())
    elif not quiet:
        console.print_parity(error.report)


def main() -> NoReturn:
    """Runs the command and turns every error into one message and an exit code."""
    debug = "--debug" in sys.argv
    raise_on_termination()
    try:
        prenorm(standalone_mode=False)
    except PrenormError as error:
        _fail(describe(error), error.exit_code, debug)
    except click.Abort:
        _fail("interrupted; OUTPUT is as it was, or complete.", 130, debug)
    except Terminated as ended:
        _fail("terminated; OUTPUT is as it was, or complete.", ended.exit_code, debug)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(
            f"{place}{error.strerror or error}; OUTPUT is as it was, or complete. Free space or choose another folder.",
            ExitCode.USAGE,
            debug,
        )
    sys.exit(ExitCode.DONE)


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    if debug:
        import traceback

        from prenorm.hub.problems import redacted

        sys.stderr.write(redacted(traceback.format_exc()))
    from prenorm.cli.console import print_error

    print_error(message)
    sys.exit(code)
