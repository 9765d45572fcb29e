"""What the terminal shows: progress, warnings and errors on stderr, results on stdout."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape as escape_markup
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from prenorm.cli.session import Session
from prenorm.errors import printable

if TYPE_CHECKING:
    from prenorm.hub.push import Pushed
    from prenorm.options import StrPath
    from prenorm.proof import Golden

_PIPED_WIDTH = 160  # piped output is for reading, too: this keeps a tensor on one line; COLUMNS says otherwise


class TitledTable(Table):
    """A table below its heading, which is not filled up with blanks, as rich's own title is."""

    def __init__(self, heading: str, *, show_header: bool) -> None:
        """Make a table without columns.

        Args:
            heading: what stands above, in rich's markup.
            show_header: whether the columns have names.
        """
        super().__init__(show_header=show_header)
        self._heading = heading

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType | Segment]:
        """Yield heading and table.

        Args:
            console: where it is printed.
            options: how wide, and so on.

        Yields:
            What rich prints.
        """
        yield Text.from_markup(self._heading, style="bold")
        yield from super().__rich_console__(console, options)


def escape(text: str) -> str:
    """Return a text from a file for the console: without markup and control characters; line ends stay.

    Args:
        text: any text.

    Returns:
        The text, to be printed by rich.
    """
    return escape_markup("\n".join(map(printable, text.split("\n"))))


def stdout() -> Console:
    """Return the console for results.

    Returns:
        A console on stdout.
    """
    return _console()


def stderr(*, quiet: bool = False) -> Console:
    """Return the console for errors, warnings and progress.

    Args:
        quiet: whether it shows nothing.

    Returns:
        The console.
    """
    return _console(stderr=True, quiet=quiet)


def _console(*, stderr: bool = False, quiet: bool = False) -> Console:
    console = Console(stderr=stderr, quiet=quiet, highlight=False)
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else None
    if console.is_terminal and width != 0:
        return console
    # 0 is what some programs set that do not know; rich would print nothing at all.
    usual = shutil.get_terminal_size().columns if console.is_terminal else _PIPED_WIDTH
    return Console(stderr=stderr, quiet=quiet, highlight=False, width=width or usual)


def table(*columns: str, title: str) -> Table:
    """Return an empty table.

    Args:
        *columns: their headings; if all are empty, none is shown.
        title: what stands above.

    Returns:
        The table.
    """
    made = TitledTable(title, show_header=any(columns))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def print_json(content: Mapping[str, object]) -> None:
    """Print one JSON document; characters that a terminal would act on, or stdout cannot hold, as JSON escapes.

    Args:
        content: plain values.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    if not _is_plain(text):
        text = json.dumps(content, indent=2, default=str)
    context = click.get_current_context(silent=True)
    session = None if context is None else context.find_object(Session)
    if session is not None:
        session.answered = True
    sys.stdout.write(text + "\n")


def _is_plain(text: str) -> bool:
    """Return whether stdout can hold the text, and a terminal only prints it."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return text.replace("\n", "").isprintable()


def print_error(message: str, *, with_traceback: bool = False) -> None:
    """Print one message on stderr.

    Args:
        message: what went wrong.
        with_traceback: whether the traceback of the exception that is being handled comes first, without its secrets.
    """
    if with_traceback:
        import traceback

        from prenorm.hub.problems import redacted

        sys.stderr.write(redacted(traceback.format_exc()))
    stderr().print(f"[red]Error:[/red] {escape(message)}", soft_wrap=True)


def print_next(commands: Sequence[str]) -> None:
    """Print what the user may do next.

    Args:
        commands: one line for a shell each.
    """
    console = stdout()
    console.print("Next:", style="bold")
    for command in commands:
        console.print(f"    {escape(command)}", soft_wrap=True)


def print_choices(choices: Mapping[str, str]) -> None:
    """Print what was chosen of the files that nobody named, a line each.

    Args:
        choices: phrases by what they are of, such as "dictionary".
    """
    for name, phrase in choices.items():
        stdout().print(f"{name.capitalize()}: {escape(phrase)}", soft_wrap=True)


def print_recording(path: StrPath, golden: Golden) -> None:
    """Print what was recorded, and which dictionary and tokenizer it was understood with.

    Args:
        path: the golden file.
        golden: its content.
    """
    facts = golden.facts
    source = facts["source"]
    print_choices(golden.choices)
    known = source.get("sha256")
    checksum = f"SHA-256 {known[:16]}" if known else f"{source['seen']['bytes']:,} of {source['bytes']:,} bytes read"
    stdout().print(
        f"{escape(str(path))}: what {escape(source['file'])} ({checksum}) computes as "
        f"{facts['config']['architecture']}",
        soft_wrap=True,
    )


def print_push(result: Pushed) -> None:
    """Print what was sent, or would be, and where it is now.

    Args:
        result: of the push.
    """
    console, changes = stdout(), result.changes
    files = table("file", "bytes", "", title=result.repo_id)
    for file in changes.send:
        files.add_row(escape(file.name), f"{file.size:,}", "to send" if result.dry_run else "sent")
    for name in changes.remove:
        files.add_row(escape(name), "", "to remove" if result.dry_run else "removed")
    if changes:
        console.print(files)
    if changes.others:
        console.print(f"Left as they are: {escape(printable(', '.join(changes.others)))}", soft_wrap=True)
    if not changes:
        console.print("Nothing to send: the repo has all of it.", soft_wrap=True)
    if result.adapted:
        text = f"On the Hub, the card names {result.repo_id}; the folder stays as it is ({', '.join(result.adapted)})."
        console.print(escape(text), soft_wrap=True)
    if result.dry_run:
        branch = escape(f"{result.repo_id}, {result.revision}")
        console.print(f"Nothing was sent (--dry-run): {len(changes.send)} files to {branch}.", soft_wrap=True)
    else:
        console.print(escape(str(result.url)), soft_wrap=True)
