"""Which kind of text a dictionary's lines are, recognized from the lines alone."""

from __future__ import annotations

import re

from prenorm.errors import UsageProblem
from prenorm.options.spoken import spoken
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, Dictionary
from prenorm.words import Worded


class DictionaryKind(Worded):
    """What the lines of a dictionary are; the value completes "the dictionary holds"."""

    NUMBERS = "numbers of GPT-2's byte-level BPE"
    PIECES = "sentencepiece's pieces"
    BYTE_PIECES = "pieces of a byte-level BPE"
    WORDPIECES = "BERT's word pieces"
    SUBWORDS = "subword-nmt's pieces"
    WORDS = "words"


# Symbols that say nothing: fairseq fills dictionaries up with the first, users add the second
_NEUTRAL = re.compile(r"madeupword\d+|<.*>|\[[A-Z]+\]", re.DOTALL)
# What a line of a kind looks like, and the share of the lines that must. Numbers are words, too, but hardly all words are
# numbers. ▁ is in hardly any text, and few pieces may have it where a script has no spaces. Ġ begins words in Maltese.
_SIGNS = (
    (DictionaryKind.NUMBERS, re.compile(r"0|[1-9][0-9]*"), 0.9),
    (DictionaryKind.PIECES, re.compile(r"▁([^▁].*)?", re.DOTALL), 0.01),
    (DictionaryKind.BYTE_PIECES, re.compile(r"Ġ.*", re.DOTALL), 0.1),
    (DictionaryKind.WORDPIECES, re.compile(r"##[^#].*", re.DOTALL), 0.1),
    (DictionaryKind.SUBWORDS, re.compile(r".*[^@]@@", re.DOTALL), 0.1),
)


def _ways() -> dict[DictionaryKind, str]:
    """Return what to do for each kind of which a tokenizer can be made, as the begin of a sentence."""
    gpt2 = f"({spoken('bpe_dir', 'gpt2')} gets GPT-2's)"
    return {
        DictionaryKind.NUMBERS: f"Give the folder of the BPE's files with {spoken('bpe_dir', ...)} {gpt2}, or leave",
        DictionaryKind.PIECES: f"Give the sentencepiece model with {spoken('sentencepiece', ...)}, or leave",
        DictionaryKind.WORDS: f"Give {spoken('words')}, or leave",
    }


def refuse_other_kind(dictionary: Dictionary, option: str, *kinds: DictionaryKind) -> None:
    """Refuse a dictionary whose lines contradict the option that names the tokenizer.

    Args:
        dictionary: fairseq's dictionary.
        option: the option.
        *kinds: what the lines may be. Lines that say nothing contradict no option.

    Raises:
        UsageProblem: if they are something else.
    """
    kind = kind_of(dictionary)
    if kind is None or kind in kinds:
        return
    ways = _ways()
    advice = f"{ways[kind]} {option} out" if kind in ways else f"Leave {option} out: the folder then has no tokenizer"
    raise UsageProblem(
        f"the dictionary holds {kind}, so it belongs to another tokenizer than {option} makes",
        subject=dictionary.path,
        advice=advice,
    )


def meaningful_symbols(dictionary: Dictionary) -> list[str]:
    """Return the symbols that a tokenizer made.

    Args:
        dictionary: fairseq's dictionary.

    Returns:
        All but special tokens, those that fill the dictionary up, and those in brackets that users add.
    """
    reserved = {*SPECIAL_TOKENS, MASK_TOKEN}
    return [symbol for symbol in dictionary.symbols if symbol not in reserved and not _NEUTRAL.fullmatch(symbol)]


def kind_of(dictionary: Dictionary) -> DictionaryKind | None:
    """Recognize what the lines of a dictionary are.

    Args:
        dictionary: fairseq's dictionary.

    Returns:
        The kind; None if no line says anything, as where all are special tokens or `madeupword0000`.
    """
    names = meaningful_symbols(dictionary)
    if not names:
        return None
    for kind, sign, share in _SIGNS:
        if sum(sign.fullmatch(name) is not None for name in names) >= share * len(names):
            return kind
    return DictionaryKind.WORDS
