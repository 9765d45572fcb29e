"""The folder's tokenizer against the one that the dictionary makes: vocabulary, merges, and what texts become."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from converter.dictionary import MASK_TOKEN, SPECIAL_TOKENS
from converter.parity.report import Check
from converter.pipeline import Tokenization
from converter.tokenizer import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, build_tokenizer, count_wrong_ids

_TEXTS = (
    "",
    " ",
    "Hello world",
    " Hello  world ",
    "a b",
    "\n\ttabs and\r\nlines\n",
    "Ünïcödé café naïve",
    "数字と漢字",
    "🙂 👍🏽 e\u0301",
    "It's 12:30, isn't it?",
    "<mask> fills",
    "fills <mask>.",
    "x<mask>y",
    "don't DON'T",
    "http://example.org/?q=1&r=2",
    "\u200b\ufeff\x00\x7f",
)


def check_tokenizer(folder: Path, parts: Tokenization, longest: int) -> tuple[Check, list[str]]:
    """The check for the report, and one sentence for each kind of disagreement.

    Args:
        parts: dictionary, BPE and the vocabulary made of them.
        longest: how many tokens the model takes.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        return Check("tokenizer ids", False, {"tokens": 0, "wrong": 0}), [f"tokenizer: there is no {TOKENIZER_FILE}"]
    try:
        actual = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        return Check("tokenizer ids", False, {"tokens": 0, "wrong": 0}), [f"tokenizer: it cannot be read: {error}"]
    tokens, wrong = count_wrong_ids(path, parts.dictionary, parts.bpe)
    said = [f"tokenizer: {wrong} of {tokens} tokens have not the dictionary's row as their id"] if wrong else []
    said += _compare(actual, build_tokenizer(parts.vocabulary), parts)
    said += _check_settings(folder, longest)
    return Check("tokenizer ids", not said, {"tokens": tokens, "wrong": wrong, "disagreements": len(said)}), said


def _compare(actual: Tokenizer, wanted: Tokenizer, parts: Tokenization) -> Iterator[str]:
    mine, theirs = (_merges(tokenizer) for tokenizer in (wanted, actual))
    if mine != theirs:
        yield f"tokenizer: it has {len(theirs)} merges and must have {len(mine)}, or they are in another order"
    apart = [
        text
        for text in (*_TEXTS, *_texts_of(parts))
        if actual.encode(text).ids != wanted.encode(text).ids
        or actual.decode(actual.encode(text).ids) != wanted.decode(wanted.encode(text).ids)
    ]
    if apart:
        shown = ", ".join(repr(text) for text in apart[:3])
        yield f"tokenizer: {len(apart)} texts become other ids, or read otherwise, than in fairseq, such as {shown}"


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    stored = json.loads(tokenizer.to_str())["model"].get("merges", [])
    return [item.split(" ") if isinstance(item, str) else list(item) for item in stored]


def _texts_of(parts: Tokenization) -> Iterator[str]:
    """A text of every token of the BPE, alone and behind a word."""
    plain = build_tokenizer(parts.vocabulary)
    for row, token in enumerate(parts.vocabulary.tokens):
        if token not in (*SPECIAL_TOKENS, MASK_TOKEN):
            text = plain.decode([row])
            yield text
            yield f"word{text}"


def _check_settings(folder: Path, longest: int) -> Iterator[str]:
    path = folder / TOKENIZER_CONFIG_FILE
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if settings.get("add_prefix_space"):
        yield "tokenizer: add_prefix_space is true; fairseq adds no space before a text"
    if settings.get("clean_up_tokenization_spaces"):
        yield "tokenizer: clean_up_tokenization_spaces is true, which changes what is decoded"
    limit = settings.get("model_max_length")
    if isinstance(limit, int | float) and limit > longest and limit < 1e9:
        yield f"tokenizer: model_max_length is {limit}, and the model takes {longest} tokens"
