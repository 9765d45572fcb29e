"""A tokenizer of pieces held against the dictionary alone: what the pieces tell of its scores, merges and normalization.

The dictionary lists pieces that sentencepiece made. Whatever the scores are, the best way to cut a text leaves a piece whole
that is part of it, so the model leaves it whole by itself as well, and so does merging. Every piece comes out of a text that
was normalized, and every form of normalization leaves the parts of its results as they are. What this does not tell are the
scores themselves, their order, and what normalization makes of texts that no piece is written in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from prenorm.tokenization.dictionary import SPECIAL_TOKENS, UNK, Dictionary
from prenorm.tokenization.kinds import meaningful_symbols
from prenorm.tokenization.vocabulary import current_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACE = "▁"


def piece_problems(dictionary: Dictionary, tokenizer: Tokenizer) -> list[str]:
    """Find what in a tokenizer contradicts the pieces of a dictionary.

    Args:
        dictionary: fairseq's dictionary, of sentencepiece's pieces.
        tokenizer: the folder's.

    Returns:
        A sentence for each contradiction, of which the tokenizer is the subject.
    """
    model = json.loads(tokenizer.to_str())["model"]
    rows = current_rows(dictionary)
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    pieces = [
        symbol
        for symbol in meaningful_symbols(dictionary)
        if symbol and vocabulary.get(symbol) == rows[symbol] and symbol not in added
    ]
    whole = [piece for piece in pieces if [token.value for token in tokenizer.model.tokenize(piece)] == [piece]]
    return [
        *_named("its model takes {} of the dictionary's {} pieces apart", pieces, set(pieces).difference(whole)),
        *_named("its normalization changes {} of the dictionary's {} pieces", pieces, _changed(tokenizer, pieces)),
        *_named("{} of the dictionary's {} pieces read as another text", pieces, _misread(tokenizer, rows, pieces)),
        *_unknown(model),
        *_merges(model, pieces, vocabulary),
        *_words(tokenizer, rows, pieces),
    ]


def _named(sentence: str, pieces: Sequence[str], wrong: Iterator[str] | set[str]) -> Iterator[str]:
    """Yield a sentence with two numbers and an example, if there are any."""
    ordered = sorted(wrong)
    if ordered:
        yield f"{sentence.format(len(ordered), len(pieces))}, such as '{ordered[0][:40]}'"


def _text(piece: str) -> str:
    """Return the text of a piece by itself, for which sentencepiece writes a space as ▁."""
    return _trimmed(piece.replace(_SPACE, " "))


def _trimmed(text: str) -> str:
    """Return a text without the spaces at its ends and those that repeat others, which sentencepiece may take away."""
    return " ".join(part for part in text.split(" ") if part)


def _changed(tokenizer: Tokenizer, pieces: Sequence[str]) -> Iterator[str]:
    """Yield the pieces whose text is another one when it is normalized."""
    if tokenizer.normalizer is not None:
        texts = ((piece, _text(piece)) for piece in pieces)
        yield from (piece for piece, text in texts if text and _text(tokenizer.normalizer.normalize_str(text)) != text)


def _misread(tokenizer: Tokenizer, rows: dict[str, int], pieces: Sequence[str]) -> Iterator[str]:
    """Yield the pieces that decode to another text than theirs."""
    yield from (piece for piece in pieces if _trimmed(tokenizer.decode([rows[piece]])) != _text(piece))


def _unknown(model: dict[str, Any]) -> Iterator[str]:
    """Yield what the model does with unknown characters and sentencepiece does not."""
    name = model["unk_token"] if model["type"] == "BPE" else None
    if model["type"] == "Unigram" and model["unk_id"] is not None:
        name = model["vocab"][model["unk_id"]][0]
    if name != SPECIAL_TOKENS[UNK]:
        yield f"its model has {name or 'nothing'} for the unknown, where fairseq has {SPECIAL_TOKENS[UNK]}"
    elif model["type"] == "BPE" and not model["fuse_unk"] and not model["byte_fallback"]:
        yield "its model makes one token of each unknown character, where sentencepiece joins those that stand together"


def _merges(model: dict[str, Any], pieces: Sequence[str], vocabulary: dict[str, int]) -> Iterator[str]:
    """Yield that merges are lacking: sentencepiece joins any two pieces that make a third."""
    if model["type"] != "BPE":
        return
    merges = {tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]}
    lacking = [
        f"{piece[:cut]} {piece[cut:]}"
        for piece in dict.fromkeys([*pieces, *map("".join, merges)])
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary and (piece[:cut], piece[cut:]) not in merges
    ]
    if lacking:
        yield f"its merges lack {len(lacking)} pairs of pieces that make another piece, such as '{lacking[0][:40]}'"


def _words(tokenizer: Tokenizer, rows: dict[str, int], pieces: Sequence[str]) -> Iterator[str]:
    """Yield that no text becomes a piece with a space in front."""
    words = [piece for piece in pieces if piece.startswith(_SPACE) and _text(piece)]
    if words and not any(rows[word] in tokenizer.encode(f"{_text(word)} {_text(word)}").ids for word in words):
        yield f"no text becomes one of the {len(words)} pieces that begin a word, such as '{words[0][:40]}'"
