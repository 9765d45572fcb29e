"""What `prenorm convert` does around the conversion: reports of a failure, and the push after it."""

from __future__ import annotations

from dataclasses import replace

from prenorm.cli import console
from prenorm.cli.bars import ConsoleProgress
from prenorm.cli.judgement import print_examples, print_parity, print_verdict, shown_if_it_fails
from prenorm.cli.output import ReportOptions
from prenorm.cli.signals import resumable_push
from prenorm.commands.convert import Conversion
from prenorm.commands.convert import convert as run
from prenorm.options import ConvertAndPushOptions, ConvertOptions


def convert(options: ConvertOptions, output: ReportOptions) -> Conversion:
    """Convert, and write the reports whatever the verdict.

    Args:
        options: the command's.
        output: what is shown and written.

    Returns:
        The conversion.

    Raises:
        ProofFailed: if the written model does not compute the same, or not all was judged that must be; the report is shown
            then.
    """
    with shown_if_it_fails(output), ConsoleProgress(quiet=output.quiet) as progress:
        result = run.with_options(replace(options, progress=progress))
    output.write(result.report)
    return result


def convert_and_push(options: ConvertAndPushOptions, output: ReportOptions) -> None:
    """Convert, push and show both.

    Args:
        options: the command's.
        output: what is shown and written.

    Raises:
        HubProblem: if there is no token to push with, which is found out before the conversion; or the push fails.
        UsageProblem: if an argument or a file does not fit.
        PushInterrupted: if the push is interrupted.
    """
    from prenorm.commands.push import push
    from prenorm.hub.push import check_push

    publication = options.publication
    check_push(publication.repo_id)
    result = convert(options, output)
    if not output.as_json and not output.quiet:
        print_conversion(result)
    with resumable_push(options.output), ConsoleProgress(quiet=output.quiet) as progress:
        pushed = push.with_options(replace(publication, progress=progress))
    if output.as_json:
        console.print_json({**as_json(result), "push": pushed.to_dict()})
    elif not output.quiet:
        console.print_push(pushed)


def as_json(result: Conversion) -> dict[str, object]:
    """Return what `convert --json` prints.

    Args:
        result: the conversion.

    Returns:
        Plain values.
    """
    return {
        **result.report.to_dict(),
        "output": str(result.output),
        "chosen_because": result.plan.task.why,
        "dictionary": result.dictionary,
        "tokenizer": result.tokenizer,
        "warnings": list(result.warnings),
    }


def print_conversion(result: Conversion) -> None:
    """Print the verdict, the parity table, the folder's files, and what the folder is for.

    Args:
        result: the conversion.
    """
    stdout = console.stdout()
    print_verdict(result.report)
    print_parity(result.report)
    files = result.report.target.get("files", [])
    assert isinstance(files, list)
    print_examples(result.report)
    digests = {item["name"]: str(item["sha256"])[:16] for item in files}
    table = console.table("file", "bytes", "sha256", title=str(result.output))
    for path in sorted(result.output.iterdir()):
        table.add_row(path.name, f"{path.stat().st_size:,}", digests.get(path.name, ""))
    stdout.print(table)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.seconds.items())
    stdout.print(
        f"{result.plan.architecture}, for {result.plan.task.kind.value}: {result.plan.task.why}", soft_wrap=True
    )
    console.print_choices({"dictionary": result.dictionary, "tokenizer": result.tokenizer})
    stdout.print(f"{result.report.verdict.capitalize()}: {result.output} ({spent})", soft_wrap=True)
