"""What a user says about the model on the card: options, and a text of their own; checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prenorm.errors import UsageProblem
from prenorm.files import or_nearest
from prenorm.folder.card.licenses import doubt
from prenorm.hub import check_repo_id, is_repo_id
from prenorm.options import CardOptions
from prenorm.options.spoken import spoken

MAX_FILE_BYTES = 1 << 20
MAX_FRONT_MATTER_BYTES = 64 << 10
_FENCE = "---"
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code", re.ASCII)
_HEADING = "a heading that comes after everything"


@dataclass(frozen=True)
class UserText:
    """What the user brings: keys for the front matter, and Markdown for the top of the card.

    `has_title` says whether the Markdown starts with a heading of the first level, which then is the card's.
    """

    front_matter: Mapping[str, object] = field(default_factory=dict)
    body: str = ""
    has_title: bool = False
    repo_id: str | None = None

    def warnings(self) -> Iterator[str]:
        """Yield what may be wrong with it.

        Yields:
            str: one sentence.
        """
        for identifier in _texts(self.front_matter.get("license")):
            doubtful = doubt(identifier)
            if doubtful is not None:
                yield doubtful
            elif identifier == "other" and "license_name" not in self.front_matter:
                yield f"the licence is 'other': give its name in the front matter of {spoken('card', ...)}, as license_name"


def read_user_text(options: CardOptions, repo_id: str | None = None) -> UserText:
    """Read and check what the user brings for the card.

    Args:
        options: the options about the card.
        repo_id: the repo that the card's code is to name; None for the folder itself.

    Returns:
        Front matter and text.

    Raises:
        UsageProblem: if an option, or the file's front matter or text, does not fit a card.
    """
    front_matter, body = ({}, "") if options.card is None else _read_file(Path(options.card))
    explicit = {
        "license": options.license,
        "language": list(options.language) or None,
        "base_model": options.base_model,
    }
    for key, value in explicit.items():
        if value is not None:
            _check(key, value, spoken(key))
            stated = front_matter.get(key)
            if stated is not None and set(_texts(stated)) != set(_texts(value)):
                raise UsageProblem(
                    f"its front matter says {key}: {_shown(stated)}, and {spoken(key)} says {_shown(value)}",
                    subject=options.card,
                    advice="Say it in one place",
                )
            front_matter[key] = value
    if repo_id is not None:
        check_repo_id(repo_id)
    has_title = _look_through(Path(options.card), body) if options.card is not None else False
    return UserText(front_matter, body, has_title, repo_id)


def _read_file(path: Path) -> tuple[dict[str, object], str]:
    """Return the front matter of a Markdown file, checked, and its body."""
    try:
        if not path.is_file():
            advice = or_nearest(path, f"Give a Markdown file with {spoken('card', ...)}")
            raise UsageProblem("is no file", subject=path, advice=advice)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageProblem(
                f"has more than {MAX_FILE_BYTES:,} bytes", subject=path, advice=f"Give a shorter {spoken('card')}"
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageProblem(
            f"cannot be read ({error.strerror})", subject=path, advice=f"Check {spoken('card')}"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageProblem("is not UTF-8 text", subject=path, advice="Save it as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.strip("\n").split("\n")
    if lines[0].rstrip() != _FENCE:
        return {}, "\n".join(lines)
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise UsageProblem(
            f"its front matter has no end: no second line '{_FENCE}'", subject=path, advice="Add it, or leave both out"
        )
    above = "\n" * (len(text) - len(text.lstrip("\n")) + 1)  # so that messages name the file's own lines
    return _front_matter(path, above + "\n".join(lines[1:end])), "\n".join(lines[end + 1 :]).strip("\n")


def _front_matter(path: Path, text: str) -> dict[str, object]:
    from prenorm.folder.card.yaml_text import BadFrontMatter, load

    if len(text.encode("utf-8")) > MAX_FRONT_MATTER_BYTES:
        raise UsageProblem(f"its front matter has more than {MAX_FRONT_MATTER_BYTES:,} bytes", subject=path)
    try:
        content = load(text)
    except BadFrontMatter as error:
        raise UsageProblem(f"its front matter cannot be used: {error}", subject=path, advice="Correct it") from error
    kept = {key: value for key, value in content.items() if value is not None}
    for key, value in kept.items():
        _check(key, value, f"{key} in its front matter", path)
    _check_results(kept, path)
    return kept


def _check(key: str, value: object, named: str, path: Path | None = None) -> None:
    """Hold the keys that the Hub acts on against what it takes for them."""

    def refuse(why: str, advice: str) -> UsageProblem:
        return UsageProblem(f"{named} {why}", subject=path, advice=advice)

    if key in ("library_name", "pipeline_tag", "license_name", "license_link") and not isinstance(value, str):
        raise refuse("is no text", "Give one word")
    if key not in ("license", "language", "base_model", "tags", "datasets", "metrics"):
        return
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text for text in texts):
        raise refuse("is neither text nor a list of texts", "Quote what YAML reads as a number")
    for text in texts:
        if key == "license" and not _LICENSE.fullmatch(text):
            raise refuse(f"is {_shown(text)}, no licence identifier", "They look like apache-2.0, mit or cc-by-4.0")
        if key == "language" and not _LANGUAGE.fullmatch(text):
            raise refuse(
                f"is {_shown(text)}, no language code of ISO 639", "They are two or three small letters: en, de, swh"
            )
        if key == "base_model" and not is_repo_id(text):
            raise refuse(f"is {_shown(text)}, no repo id of the Hub", "It has the form org/name")


def _check_results(front_matter: Mapping[str, object], path: Path) -> None:
    """Hold reported metrics against the form that huggingface_hub reads."""
    if "model-index" not in front_matter:
        return
    from huggingface_hub import ModelCard

    from prenorm.folder.card.yaml_text import dump

    try:
        ModelCard(f"{_FENCE}\n{dump(front_matter)}{_FENCE}\n")
    except Exception as error:  # it takes the form for granted, so anything can be raised
        raise UsageProblem(
            "its model-index is not in the form that the Hub reads", subject=path, advice="Correct it, or leave it out"
        ) from error


def _look_through(path: Path, body: str) -> bool:
    """Return whether a text starts with a title.

    Args:
        path: the file that it came from.
        body: the text.

    Returns:
        True if its first element is a heading of the first level.

    Raises:
        UsageProblem: if something in it is open at its end, and would swallow the rest of the card.
    """
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"html": True}).parse(f"{body}\n\n# {_HEADING}\n")
    last = tokens[-2:]
    if len(last) < 2 or last[1].type != "heading_close" or last[0].content != _HEADING or last[1].level != 0:
        raise UsageProblem(
            "something in it is not closed at its end (a code fence, a comment), and would swallow the rest of the card",
            subject=path,
            advice="Close it",
        )
    return tokens[0].type == "heading_open" and tokens[0].tag == "h1" and bool(body.strip())


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _shown(value: object) -> str:
    return ", ".join(f"'{text[:60]}'" for text in _texts(value)[:5])
