"""Cards as those read them who show and load them: the Hub's front matter, GitHub's Markdown, and the code in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def metadata(card: str) -> dict[str, object]:
    """The front matter as huggingface_hub reads it."""
    return dict(ModelCard(card).data.to_dict())


def markdown(card: str) -> str:
    """The card without its front matter."""
    return str(ModelCard(card).text)


def tokens(card: str) -> list[Token]:
    """The Markdown's tokens, those within a line too."""
    parsed = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown(card))
    return [part for token in parsed for part in (token, *(token.children or ()))]


def blocks(card: str, language: str) -> list[str]:
    return [token.content for token in tokens(card) if token.type == "fence" and token.info == language]


def words(block: str) -> list[str]:
    """The words of a command, which may go over several lines."""
    return shlex.split(block.replace("\\\n", " "))


def command_lines(card: str) -> list[list[str]]:
    """The words of every command."""
    lines = "".join(blocks(card, "sh")).replace("\\\n", " ").splitlines()
    return [words(line) for line in lines]


def commands(card: str) -> dict[str, list[str]]:
    """The words of each kind of command, by the word behind `prenorm`; the last one of those that come twice."""
    return {line[1]: line for line in command_lines(card)}


def headings(card: str) -> list[str]:
    found = tokens(card)
    return [found[i + 1].content for i, token in enumerate(found) if token.type == "heading_open"]


def rows(card: str) -> Iterator[list[str]]:
    """The cells of every row of every table, as plain text."""
    row: list[str] = []
    for token in tokens(card):
        if token.type == "tr_open":
            row = []
        elif token.type == "inline" and token.level and token.map and token.children is not None:
            row.append("".join(part.content for part in token.children))
        elif token.type == "tr_close":
            yield row


def facts(card: str) -> dict[str, str]:
    """The rows of the tables with two columns."""
    return {row[0]: row[1] for row in rows(card) if len(row) == 2 and row[1] != "value"}


def section(card: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", markdown(card), re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]
