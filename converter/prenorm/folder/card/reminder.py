"""What only the author of a model can say and a card needs: a visible reminder of what is missing, gone once it is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

# Keys of the front matter, and what a reader calls them.
_NEEDED = {"license": "licence", "language": "language", "datasets": "training data"}
_DATA = re.compile(r"^#{1,6} .*\b(data|datasets?|corpus|corpora)\b", re.IGNORECASE | re.MULTILINE)


def missing(front_matter: Mapping[str, object], text: str) -> tuple[str, ...]:
    """Find what a card does not say of the model.

    Args:
        front_matter: its keys.
        text: its Markdown; data that is not on the Hub is described under a heading of its own.

    Returns:
        The keys of the front matter that are missing.
    """
    has_data = _DATA.search(text) is not None
    return tuple(key for key in _NEEDED if not front_matter.get(key) and not (key == "datasets" and has_data))


def reminder(keys: tuple[str, ...]) -> str:
    """Write the reminder of what is missing.

    Args:
        keys: the keys of the front matter, as `missing` finds them.

    Returns:
        A paragraph of Markdown with the empty line behind it; nothing if nothing is missing.
    """
    if not keys:
        return ""
    section = ", or describe the data under a heading of its own" if "datasets" in keys else ""
    return (
        f"> **Still to be stated:** {_listed([_NEEDED[key] for key in keys])}. "
        f"Add {_listed([f'`{key}`' for key in keys])} to the top of this file{section}.\n\n"
    )


def brought_up_to_date(card: str, front_matter: Mapping[str, object]) -> str:
    """Shorten or remove the reminder of a card whose author has added what was missing.

    Args:
        card: the whole card.
        front_matter: its keys.

    Returns:
        The card; unchanged if it has no reminder.
    """
    for old in map(reminder, _every_choice()):
        if old in card:
            return card.replace(old, reminder(missing(front_matter, card)), 1)
    return card


def told_missing(card: str) -> str:
    """Return what a card's reminder names.

    Args:
        card: the whole card.

    Returns:
        Words such as 'licence and language'; nothing if it has no reminder.
    """
    return next((_listed([_NEEDED[key] for key in keys]) for keys in _every_choice() if reminder(keys) in card), "")


def _every_choice() -> Iterator[tuple[str, ...]]:
    for length in range(1, len(_NEEDED) + 1):
        yield from combinations(_NEEDED, length)


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
