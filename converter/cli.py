"""The command line: parse, one call, show. Everything that prints is here or in `console.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from converter.choices import ACTIVATIONS, AUTO, REFERENCES, RUNTIMES, TASKS, WEIGHTS
from converter.errors import ExitCode, ParityFailed, PrenormError, UsageProblem, describe
from converter.signals import Terminated, raise_on_termination

_F = TypeVar("_F", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)


def _place(value: str) -> str | Path:
    """A path here, or a place on the Hub, which stays as it was written."""
    return value if value.startswith("hf://") else Path(value)


def _options(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    """Several options as one decorator."""

    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_source_options = _options(
    click.option(
        "--dict", "dictionary", type=_PATH, help="fairseq's dictionary.  [default: dict.txt beside CHECKPOINT]"
    ),
    click.option(
        "--bpe-dir", type=_PATH, help="Folder with GPT-2's encoder.json and vocab.bpe.  [default: no tokenizer]"
    ),
    click.option(
        "--label-dict", type=_PATH, help="fairseq's dictionary of labels (label/dict.txt).  [default: LABEL_0 ...]"
    ),
    click.option(
        "--task",
        type=click.Choice(TASKS),
        default=AUTO,
        show_default=True,
        help="What the folder is for; auto: what the checkpoint was trained for.",
    ),
    click.option("--head", metavar="NAME", help="Which classification head.  [default: the only one]"),
    click.option(
        "--weights",
        type=click.Choice(WEIGHTS),
        default="model",
        show_default=True,
        help="ema: the moving average that --store-ema keeps.",
    ),
    click.option(
        "--activation",
        type=click.Choice(tuple(ACTIVATIONS)),
        help="Of DinkyTrain's DeepSpeed kernels (gelu, gelu_new), or if none is recorded.  [default: as recorded]",
    ),
    click.option(
        "--attention-heads", type=click.IntRange(1), help="If the checkpoint records none.  [default: as recorded]"
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document.  [default: off]"),
)


_report_option = click.option(
    "--report",
    "reports",
    type=_PATH,
    multiple=True,
    help="Also write the report here, pass or fail. The suffix picks the form: .json .md .html .xml.",
)


_proof_options = _options(
    click.option(
        "--reference", type=click.Choice(REFERENCES), default="builtin", show_default=True,
        help="What computes CHECKPOINT: built-in code, or fairseq itself.",
    ),
    click.option(
        "--fairseq-python", type=_PATH, metavar="PYTHON", help="A Python that has fairseq.  [default: none]"
    ),
)  # fmt: skip


_publication_options = _options(
    click.option("--private", is_flag=True, help="Create the repo as a private one.  [default: off]"),
    click.option("--pull-request", is_flag=True, help="Open a pull request instead of committing.  [default: off]"),
    click.option(
        "--retries", type=click.IntRange(0, 20), default=4, show_default=True,
        help="How often one request is repeated that failed for a reason that passes.",
    ),
    click.option(
        "--timeout", type=click.FloatRange(0.1), default=120.0, show_default=True,
        help="Seconds that the Hub may be silent in the middle of a request.",
    ),
)  # fmt: skip


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
@click.argument("checkpoint", type=_place)
@_source_options
def inspect(checkpoint: str | Path, as_json: bool, **options: Any) -> None:
    """Show what CHECKPOINT holds, what it converts to, and what its pickle names. Nothing in it is run."""
    from converter.inspection import inspect as run

    found = run(checkpoint, **options)
    from converter import console

    if as_json:
        console.print_json(found.to_dict())
    else:
        console.print_inspection(found)


@prenorm.command()
@click.argument("checkpoint", type=_place)
@click.argument("output", type=_PATH)
@_source_options
@_proof_options
@_report_option
@click.option("--allow-nonfinite", is_flag=True, help="Convert weights with NaN or infinity, unjudged.  [default: off]")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT in one step if it exists.  [default: off]")
@click.option("--quiet", is_flag=True, help="No progress, no warnings, no table.  [default: off]")
def convert(
    checkpoint: str | Path, output: Path, as_json: bool, quiet: bool, reports: tuple[Path, ...], **options: Any
) -> None:
    """Convert CHECKPOINT into the model folder OUTPUT, and prove that it computes the same; or write nothing."""
    from converter import console
    from converter.pipeline import convert as run

    _check_reports(reports, output)
    with console.ConsoleProgress(quiet=quiet) as progress:
        try:
            result = run(checkpoint, output, progress=progress, **options)
        except ParityFailed as error:
            progress.__exit__()
            _show_failure(error, reports, as_json=as_json, quiet=quiet)
            raise
    _write_reports(reports, result.report.to_dict())
    if as_json:
        console.print_json(console.output_as_json(result))
    elif not quiet:
        console.print_conversion(result)


@prenorm.command()
@click.argument("paths", type=_place, nargs=-1, required=True, metavar="[CHECKPOINT] FOLDER_OR_REPO")
@_source_options
@_proof_options
@click.option(
    "--runtime", type=click.Choice(RUNTIMES), default="bundled", show_default=True,
    help="What computes FOLDER: the bundled model, the installed transformers, or both.",
)  # fmt: skip
@click.option(
    "--revision", metavar="REV", help="Branch, tag or commit of a repo on the Hub.  [default: its main branch]"
)
@click.option("--golden", type=_PATH, help="Judge by a file of prenorm record, without CHECKPOINT.  [default: none]")
@_report_option
@click.option("--quiet", is_flag=True, help="No progress, no table.  [default: off]")
def verify(
    paths: tuple[str | Path, ...], as_json: bool, quiet: bool, reports: tuple[Path, ...], **options: Any
) -> None:
    """Judge a folder, local or a repo id of the Hub, against CHECKPOINT. It reads only, and lists all that disagrees."""
    from converter import console
    from converter.verification import judge

    _check_reports(reports, Path(paths[-1]))
    report = judge(paths, **options)
    _write_reports(reports, report.to_dict())
    if as_json:
        console.print_json(report.to_dict())
    elif not quiet:
        console.print_verification(report)
    if not report.passed:
        sys.exit(ExitCode.PARITY_FAILED)


@prenorm.command()
@click.argument("checkpoint", type=_place)
@click.argument("golden", type=_PATH)
@_source_options
@_proof_options
def record(checkpoint: str | Path, golden: Path, as_json: bool, **options: Any) -> None:
    """Store in the file GOLDEN what CHECKPOINT computes, so that verify --golden needs neither it nor fairseq."""
    from converter import console
    from converter.verification.record import record as run

    found = run(checkpoint, golden, **options)
    if as_json:
        console.print_json(found.facts)
    else:
        console.print_recording(golden, found.facts)


@prenorm.command()
@click.argument("folder", type=_PATH)
@click.argument("repo_id")
@_publication_options
@click.option("--revision", metavar="BRANCH", help="Commit to this branch; it is created if needed.  [default: main]")
@click.option("--message", help="The commit's title.  [default: that prenorm made and proved it]")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.  [default: off]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.  [default: off]")
@click.option("--quiet", is_flag=True, help="No progress, no table.  [default: off]")
def push(folder: Path, repo_id: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Send to the repo REPO_ID of the Hub what it lacks of FOLDER, which prenorm convert wrote and proved."""
    _publish(folder, repo_id, as_json=as_json, quiet=quiet, **options)


def _publish(
    folder: Path, repo_id: str, *, as_json: bool, quiet: bool, retries: int, timeout: float, **options: Any
) -> None:
    from converter import console
    from converter.hub.patience import Patience
    from converter.hub.push import push as run

    patience = Patience(attempts=retries + 1, timeout=timeout)
    try:
        with console.ConsoleProgress(quiet=quiet) as progress:
            result = run(folder, repo_id, patience=patience, progress=progress, **options)
    except (KeyboardInterrupt, Terminated) as ended:
        code = ended.exit_code if isinstance(ended, Terminated) else 130
        _fail("interrupted; the folder is untouched, and prenorm push finishes the job.", code, debug=False)
    if as_json:
        console.print_json(result.to_dict())
    elif not quiet:
        console.print_push(result)


def _check_reports(reports: tuple[Path, ...], output: Path) -> None:
    from converter.reports import check_suffix

    for path in reports:
        check_suffix(path)
        if not path.absolute().parent.is_dir() or output.absolute() in path.absolute().parents:
            raise UsageProblem(
                "the report cannot be written there", subject=path, advice="Choose an existing folder outside OUTPUT"
            )


def _write_reports(reports: tuple[Path, ...], content: dict[str, object]) -> None:
    from converter.reports import write_report

    for path in reports:
        write_report(path, content)


def _show_failure(error: ParityFailed, reports: tuple[Path, ...], *, as_json: bool, quiet: bool) -> None:
    from converter import console

    if error.report is None:
        return
    _write_reports(reports, error.report.to_dict())
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

        from converter.hub.problems import redacted

        sys.stderr.write(redacted(traceback.format_exc()))
    from converter.console import print_error

    print_error(message)
    sys.exit(code)
