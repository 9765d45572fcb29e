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
    """Make a code span of a name. A name that could end the span is escaped character by character instead.

    Args:
        text: the name; None where there is none.

    Returns:
        Markdown; empty where there is no name.
    """
    if not text:
        return ""
    visible_text = visible(text, _CELL)
    return (
        f"`{visible_text}`"
        if _PLAIN.fullmatch(visible_text) and visible_text.strip() == visible_text
        else escape(visible_text)
    )


def escape(text: str) -> str:
    """Put a backslash before all that would mean something to Markdown where it stands.

    Args:
        text: any text.

    Returns:
        One line that is no markup, no HTML and no link; of a long text both ends.
    """
    return _MEANS_SOMETHING.sub(r"\\\g<0>", visible(text, 2 * _CELL))
