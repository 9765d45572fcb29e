"""The folder's tokenizer against the one that the dictionary makes: vocabulary, merges, scores, and what texts become."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from prenorm.files import TOKENIZER_FILE
from prenorm.proof.checks.tokenizer_companions import check_companions
from prenorm.reports.model import Check
from prenorm.tokenization import Tokenization, TokenizationKind, count_wrong_ids, tokenizer_config
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS

CORPUS = (
    "",
    " ",
    "Hello world",
    " Hello  world ",
    "a b",
    "\n\ttabs and\r\nlines\n",
    "Ünïcödé café naïve",
    "U\u0308ni\u0308co\u0308de\u0301 cafe\u0301",
    "数字と漢字",
    "か\u3099 \u1100\u1161\u11a8 ｶﾞ ﬁ\u0301 ～",
    "ｆｕｌｌ ｗｉｄｔｈ ① ½",
    "🙂 👍🏽 e\u0301",
    "It's 12:30, isn't it?",
    "<mask> fills",
    "fills <mask>.",
    "x<mask>y",
    "don't DON'T",
    "http://example.org/?q=1&r=2",
    "\u200b\ufeff\x00\x7f",
    "a\u00a0b\u3000c\u2028d\x85e\x1cf",
    "▁a ▁ b▁",
)
_TOGETHER = 32  # tokens in one text, where a text of each alone would take long


def check_tokenizer(folder: Path, parts: Tokenization, longest: int, problem: str = "") -> tuple[Check, list[str]]:
    """Hold a folder's tokenizer against the one that the dictionary makes.

    Args:
        folder: tokenizer.json and tokenizer_config.json.
        parts: the tokenizer that the dictionary makes.
        longest: how many tokens the model takes.
        problem: what is wrong with the folder's whatever this finds, if anything is.

    Returns:
        The check for the report, and one sentence for each kind of disagreement.
    """
    path = folder / TOKENIZER_FILE
    fault = unreadable(folder) if path.is_file() else f"there is no {TOKENIZER_FILE}"
    if fault:
        return Check("tokenizer ids", False, {"tokens": 0, "wrong": 0}), [f"tokenizer: {fault}"]
    actual = Tokenizer.from_file(str(path))
    tokens, wrong = count_wrong_ids(path, parts)
    disagreements = (
        [f"tokenizer: {wrong} of {tokens} tokens have not the dictionary's row as their id"] if wrong else []
    )
    disagreements += [f"tokenizer: {problem}"] if problem else []
    disagreements += without_batching(actual)
    disagreements += _compare(actual, parts.build(), parts)
    disagreements += check_companions(folder, tokenizer_config(parts, longest), actual)
    return Check(
        "tokenizer ids", not disagreements, {"tokens": tokens, "wrong": wrong, "disagreements": len(disagreements)}
    ), disagreements


def unreadable(folder: Path) -> str:
    """Say what is wrong with a tokenizer.json that cannot be read.

    Args:
        folder: the folder.

    Returns:
        The reason; empty if it can be read, or there is none.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        return ""
    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        return f"it cannot be read: {error}"
    return ""


def without_batching(tokenizer: Tokenizer) -> list[str]:
    """Turn off the padding and truncation that a tokenizer.json keeps of its last use, so that what else differs is seen.

    Args:
        tokenizer: the folder's; is changed in place.

    Returns:
        A sentence for each: transformers sets both anew for every batch, and other readers take them as they are.
    """
    kept = (("pads texts", tokenizer.padding), ("cuts texts", tokenizer.truncation))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [
        f"tokenizer: {TOKENIZER_FILE} {what}, which fairseq does not: {setting}" for what, setting in kept if setting
    ]


def _compare(actual: Tokenizer, wanted: Tokenizer, parts: Tokenization) -> Iterator[str]:
    """Yield a sentence for each kind of disagreement between two tokenizers."""
    mine, theirs = (json.loads(tokenizer.to_str())["model"] for tokenizer in (wanted, actual))
    if mine["type"] != theirs["type"]:
        yield f"tokenizer: its model is {theirs['type']} and must be {mine['type']}"
    elif merges_of(mine) != merges_of(theirs):
        yield (
            f"tokenizer: it has {len(merges_of(theirs))} merges and must have {len(merges_of(mine))}, in their order"
        )
    elif mine["type"] == "Unigram":
        expected, actual_scores = (
            {token: single_precision(score) for token, score in model["vocab"]} for model in (mine, theirs)
        )
        other = sum(
            expected.get(token) != actual_scores.get(token) for token in parts.fairseq_rows if token not in _RESERVED
        )
        if other:
            yield f"tokenizer: {other} of {len(parts.fairseq_rows)} pieces have another score, or are missing"
    texts = (*CORPUS, *_texts_of(parts, wanted))
    apart = [
        text
        for text in texts
        if actual.encode(text).ids != wanted.encode(text).ids
        or actual.decode(actual.encode(text).ids) != wanted.decode(wanted.encode(text).ids)
    ]
    if apart:
        examples = ", ".join(repr(text[:60]) for text in apart[:3])
        yield f"tokenizer: {len(apart)} texts become other ids, or read otherwise, than in fairseq, such as {examples}"


_RESERVED = (*SPECIAL_TOKENS, MASK_TOKEN)


def single_precision(score: float) -> bytes:
    """Return a score in sentencepiece's 32 bits: `tokenizers` rounds the last bit of 64 when it reads a file.

    Args:
        score: of a piece.

    Returns:
        Four bytes.
    """
    return struct.pack("<f", score)


def merges_of(model: dict[str, Any]) -> list[list[str]]:
    """Return a model's merges as pairs, in whichever of the library's forms they are.

    Args:
        model: the part `model` of tokenizer.json.

    Returns:
        The pairs by falling priority.
    """
    return [item.split(" ") if isinstance(item, str) else list(item) for item in model.get("merges", [])]


def _texts_of(parts: Tokenization, plain: Tokenizer) -> Iterator[str]:
    """Yield texts in which every token occurs: of byte-level BPE each alone and behind a word, else many in one text."""
    decoded = [
        plain.decode([row], skip_special_tokens=False)
        for row, token in enumerate(parts.vocabulary.tokens)
        if token not in _RESERVED
    ]
    if parts.kind is TokenizationKind.BYTE_LEVEL:
        yield from decoded
        yield from (f"word{text}" for text in decoded)
    else:
        yield from (" ".join(decoded[at : at + _TOGETHER]) for at in range(0, len(decoded), _TOGETHER))
        yield from ("".join(decoded[at : at + _TOGETHER]) for at in range(0, len(decoded), _TOGETHER))
