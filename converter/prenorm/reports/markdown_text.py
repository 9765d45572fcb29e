"""Text of other people in Markdown: names as code, sentences with nothing in them that means something to Markdown."""

from __future__ import annotations

import re

from prenorm.reports.text import visible

_CELL = 300  # characters of one cell
_PLAIN = re.compile(r"[\w./:{}\[\]() ,;=+*<>@#$%&!?'\"~^…-]+", re.ASCII)
# What means something to GitHub's Markdown where it stands. Underscores within words and dots within numbers do not.
_MEANS_SOMETHING = re.compile(
    "|".join(
        (
            r"[\\`*{}\[\]<>#!|~$&@]",
            r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])",
            r":(?=\S)|(?<=[Ww]{3})\.",  # links, emoji
            r"^[-+=]|(?<=^\d)[.)](?=\s|$)|(?<=^\d\d)[.)](?=\s|$)",  # lists, underlined headings
        )
    )
)


def code(text: str | None) -> str:
    """A name as code. One that could end the code span is escaped character by character instead."""
    if not text:
        return ""
    shown = visible(text, _CELL)
    return f"`{shown}`" if _PLAIN.fullmatch(shown) and shown.strip() == shown else escape(shown)


def escape(text: str) -> str:
    """Text that is no Markdown, no HTML, no link: a backslash before all that would mean something where it stands."""
    return _MEANS_SOMETHING.sub(r"\\\g<0>", visible(text, 2 * _CELL))
