"""Where the card's own lines find the model: in this folder, or in a repo of the Hub.

`convert` writes them, and `push` changes them in the copy that it sends. Everything else of a card may have been edited, and
stays: only lines that are just as `convert` writes them are changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from prenorm.files import CARD_FILE
from prenorm.folder.card.command import place_line
from prenorm.folder.card.reminder import brought_up_to_date, told_missing
from prenorm.hub import Publishable, is_repo_id
from prenorm.reports.markdown_text import escape

_MOST_CARD_BYTES = 4 << 20
_HERE = 'model_id = "."  # or org/name on the Hub'
_USE = "\n## Use\n"  # the last one is ours: a user's own text comes before
_ID_LINE = re.compile(rf'^(?:{re.escape(_HERE)}|model_id = "([^"\n]+)")$', re.MULTILINE)
_FRONT_MATTER = re.compile(r"---\n(.*?\n)?---\n", re.DOTALL)


class _Parts(NamedTuple):
    """A card, cut in front of our own code; `repo_id` is where that finds the model, None for the folder itself."""

    front_matter: str
    top: str
    code: str
    repo_id: str | None


def model_id_line(repo_id: str | None) -> str:
    """Return the line of code that says where the model is.

    Args:
        repo_id: where on the Hub; None for the folder itself.

    Returns:
        A line of Python, without its end.
    """
    return _HERE if repo_id is None else f'model_id = "{repo_id}"'


def title(name: str) -> str:
    """Return the card's title.

    Args:
        name: the model's.

    Returns:
        A heading in Markdown, without the line's end.
    """
    return f"# {escape(name)}"


def addressed_to(content: Publishable, repo_id: str) -> Publishable:
    """Let the card that is sent name the repo, and take from its reminder what its author has added.

    Args:
        content: what is to be published.
        repo_id: the repo it goes to.

    Returns:
        The same with the card of the repo and a report that has its digest; notes say what could not be done.
    """
    file = content.card
    if file is None or file.size > _MOST_CARD_BYTES:
        return content
    try:
        card = file.path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:  # of somebody else's making, and no business of ours
        return content
    by_windows = 0 < card.count("\r\n") == card.count("\n")
    card = card.replace("\r\n", "\n") if by_windows else card
    parts = _cut(card)
    notes = [f"{CARD_FILE} was edited since the conversion, and is sent with its edits"] if content.card_edited else []
    if parts is not None:
        card = _at(parts, repo_id, content.path.resolve().name)
    elif _USE in card:
        notes.append(f"the code in {CARD_FILE} was edited, and does not name {repo_id}: it is sent as it is")
    card = brought_up_to_date(card, _front_matter(card))
    lacking = told_missing(card)
    if lacking:
        notes.append(f"the card does not state {lacking}: add it to the front matter of {CARD_FILE}, and push again")
    new = (card.replace("\n", "\r\n") if by_windows else card).encode("utf-8")
    if file.with_content(new).sha256 != file.sha256:
        content = content.with_card(file.with_content(new))
    return replace(content, notes=(*content.notes, *notes))


def _cut(card: str) -> _Parts | None:
    """Return a card's parts; None if it has no code of ours."""
    start = card.rfind(_USE)
    first = _ID_LINE.search(card, max(start, 0))
    if start < 0 or first is None or not (first[1] is None or is_repo_id(first[1])):
        return None
    matched = _FRONT_MATTER.match(card)
    end = 0 if matched is None else matched.end()
    return _Parts(card[:end], card[end:start], card[start:], first[1])


def _at(parts: _Parts, repo_id: str, folder_name: str) -> str:
    """Return the card with our own lines about one place made those about another.

    Args:
        parts: the card.
        repo_id: the new place.
        folder_name: what the card may be entitled, if it is not the old repo's name.

    Returns:
        The whole card.
    """
    names = [folder_name] if parts.repo_id is None else [parts.repo_id.rpartition("/")[2], folder_name]
    top = parts.top
    for old in map(title, names):
        if top.lstrip("\n").startswith(f"{old}\n"):
            top = top.replace(old, title(repo_id.rpartition("/")[2]), 1)
            break
    code = parts.code
    for old, new in (
        (f"\n{model_id_line(parts.repo_id)}\n", f"\n{model_id_line(repo_id)}\n"),
        (f"{place_line(parts.repo_id)}\n```", f"{place_line(repo_id)}\n```"),
    ):
        code = code.replace(old, new)
    return parts.front_matter + top + code


def _front_matter(card: str) -> Mapping[str, object]:
    from prenorm.folder.card.yaml_text import BadFrontMatter, load

    matched = _FRONT_MATTER.match(card)
    try:
        return load(matched[1] or "") if matched else {}
    except BadFrontMatter:  # the Hub says what is wrong with it
        return {}
