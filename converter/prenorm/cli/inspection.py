"""`inspect` on the terminal: a screen that says what the model is and what it becomes, and on demand every tensor."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from prenorm.checkpoint import Risk
from prenorm.cli.console import escape, stdout, table
from prenorm.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

    from prenorm.commands.inspection import Inspection, TensorLine

_MOST_TABLE_ROWS = 2000  # a checkpoint of 100 layers has fewer tensors
_RISK_STYLES = {Risk.PLAIN: "", Risk.FOREIGN: "yellow", Risk.CODE: "bold red"}
_MARGIN = 11  # the width of the rows' names
_WIDEST = 100  # columns of text that people read with ease


def print_inspection(result: Inspection, *, tensors: bool = False) -> None:
    """Print the inspection.

    Args:
        result: what `inspect` returns.
        tensors: whether every tensor and every global of the pickle is listed, too.
    """
    console = stdout()
    _print_row(console, "", f"{result.file}: {result.title}", "bold")
    if result.refusal is not None:
        _print_row(
            console, "refused", f"{result.refusal} (convert would end with exit code {result.refusal_code})", "red"
        )
    for name, lines in result.summary:
        for number, line in enumerate(lines):
            _print_row(console, name if number == 0 else "", line)
    for text in result.warnings:
        _print_row(console, "note", text, "yellow")
    if tensors:
        _print_tables(console, result)
    if result.next_step is not None:
        # On one line, which the terminal breaks where it must: so it can be copied.
        console.print(
            Text.assemble((f"{'next':<{_MARGIN}}", "cyan"), (printable(result.next_step), "bold")), soft_wrap=True
        )


def _print_row(console: Console, name: str, text: str, style: str = "") -> None:
    """Print a row with its name before its first line; words are kept whole, and the terminal breaks longer ones."""
    margin = 0 if not name and style == "bold" else _MARGIN
    width = max(min(console.width, _WIDEST) - margin, 20)
    for number, line in enumerate(text.splitlines()):
        pieces = textwrap.wrap(printable(line), width, break_long_words=False, break_on_hyphens=False) or [""]
        for place, piece in enumerate(pieces):
            label = name if number == place == 0 else ""
            row = Text.assemble((f"{label:<{margin}}", "cyan"), (piece, style))
            row.rstrip()
            console.print(row, soft_wrap=True)


def _print_tables(console: Console, result: Inspection) -> None:
    """Print every tensor with what becomes of it, and every global that the pickle names."""
    fates = ["becomes"] if any(map(_fate, result.tensors)) else []
    tensors = [
        (line.name, line.dtype, " x ".join(map(str, line.shape)) or "scalar", *([_fate(line)] if fates else []))
        for line in result.tensors
    ]
    title = f"{len(tensors)} tensors"
    _print_rows(console, title, ("tensor", "type", "shape", *fates), [(row, "") for row in tensors])
    title = f"{len(result.globals)} pickle globals (none was imported or run)"
    named = [((f"{item.module}.{item.name}", item.risk.value), _RISK_STYLES[item.risk]) for item in result.globals]
    _print_rows(console, title, ("global", ""), named)


def _print_rows(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]
) -> None:
    """Print rows, each with the style of its last cell, as a table; a great many without its lines, which take seconds."""
    if len(rows) > _MOST_TABLE_ROWS:
        console.print(title, style="bold")
        text = "\n".join("  ".join(map(printable, cells)) for cells, _ in rows)
        console.file.write(f"{text}\n")
        return
    made = table(*columns, title=title)
    for (*cells, last), style in rows:
        made.add_row(*map(escape, cells), f"[{style}]{escape(last)}[/{style}]" if style else escape(last))
    console.print(made)


def _fate(line: TensorLine) -> str:
    """Return what becomes of a tensor; empty where that is not known."""
    if line.target:
        return f"{line.target} ({line.reason})" if line.reason else line.target
    return f"dropped: {line.reason}" if line.reason else ""
