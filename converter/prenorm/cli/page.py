"""The help page: options in sections, at any width, without a broken word."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

import click

HELP_ROW = ("-h, --help", "Show this page and exit.")
_NARROW = 76  # below it, what explains an option stands on lines of its own
_MOST_COLUMNS = 110
_WIDEST_TERM = 24  # a longer term has a line of its own
_NARROW_TERM = 12  # up to which terms have a column at any width
_GAP = 2
_INDENT = 6


class HelpPage(click.HelpFormatter):
    """Formats help as wide as the terminal. Unlike click's own, it breaks lines between words only: no `--folder-` here."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        """Make an empty page.

        Args:
            indent_increment: click's.
            width: click's; None: that of the terminal.
            max_width: not used: lines of a fixed greatest length are easiest to read.
        """
        super().__init__(indent_increment, width, _MOST_COLUMNS)

    def write_sections(self, sections: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Write lists of terms below their headings, with explanations in one column.

        Args:
            sections: the rows below each heading: a term, and what explains it.
        """
        widest = max(len(term) for rows in sections.values() for term, _ in rows)
        for heading, rows in sections.items():
            with self.section(heading):
                self.write_dl(rows, min(widest, _WIDEST_TERM))

    def write_examples(self, examples: str) -> None:
        """Write examples as they are to be typed.

        Args:
            examples: a command on each line.
        """
        with self.section("Examples"):
            self.write("".join(f"{'':>{self.current_indent}}{line.strip()}\n" for line in examples.splitlines()))

    def _wrapped(self, text: str, first: str, others: str) -> str:
        return textwrap.fill(
            " ".join(text.split()), self.width, initial_indent=first, subsequent_indent=others,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line.

        Args:
            prog: the command.
            args: what it takes.
            prefix: click's.
        """
        self.write(self._wrapped(f"{prog} {args}", prefix or "Usage: ", " " * 7) + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs.

        Args:
            text: paragraphs, with empty lines between.
        """
        indent = " " * self.current_indent
        self.write("\n\n".join(self._wrapped(part, indent, indent) for part in text.split("\n\n")) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = _WIDEST_TERM, col_spacing: int = _GAP) -> None:
        """Write terms with what explains them: beside them where there is room, else below.

        Args:
            rows: the terms, each with its explanation.
            col_max: the width of the terms' column; a longer term has a line of its own.
            col_spacing: blanks between the columns.
        """
        margin = " " * self.current_indent
        column = self.current_indent + col_max + col_spacing
        if self.width < _NARROW and col_max > _NARROW_TERM:
            column = _INDENT
        for term, text in rows:
            if len(margin + term) + col_spacing <= column:
                self.write(self._wrapped(text, f"{margin}{term}".ljust(column), " " * column) + "\n")
            else:
                self.write(f"{margin}{term}\n{self._wrapped(text, ' ' * column, ' ' * column)}\n")
