"""Jinja environments in which a template cannot forget to escape.

Each is made once: it keeps its templates compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prenorm.reports import markdown_text
from prenorm.reports.text import count, exact, fact, label, number, visible

# Where a name may go on in the next line: behind punctuation, and before a capital.
_WORD_ENDS = re.compile(r"(?<=[A-Za-z0-9}][._/-])(?=[A-Za-z{])|(?<=[a-z])(?=[A-Z])")


@cache
def html_environment(package: str = __package__) -> Environment:
    """Make an environment for HTML: text is escaped, and characters that cannot be seen are spelled out.

    Args:
        package: whose folder `templates` holds the templates.

    Returns:
        The environment.
    """
    environment = _environment(package, visible)
    environment.filters["breakable"] = _breakable
    return environment


@cache
def markdown_environment(package: str = __package__) -> Environment:
    """Make an environment for Markdown: whatever means something to Markdown is escaped where it stands.

    The filter `code` makes a code span of a name; its result, like that of every macro, is not escaped again.

    Args:
        package: whose folder `templates` holds the templates.

    Returns:
        The environment.
    """
    environment = _environment(package, lambda text: Markup(markdown_text.escape(text)))
    environment.filters["code"] = lambda name: Markup(markdown_text.code(name))
    return environment


def _breakable(text: str) -> Markup:
    """Let lines break where the words of a name meet, and nowhere else as long as a word fits."""
    return Markup("<wbr>").join(_WORD_ENDS.split(visible(text)))


def _environment(package: str, escape: Callable[[str], str]) -> Environment:
    """Make an environment that passes every value, but for markup, through `escape` before Jinja escapes it for HTML."""

    def finalize(value: object) -> object:
        return value if hasattr(value, "__html__") else escape(str(value))

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": count, "exact": exact, "fact": fact, "label": label, "number": number}
    return environment
