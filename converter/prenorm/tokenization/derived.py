"""The tokenizer that a folder must have, derived from the dictionary and from the folder's own tokenizer.json.

tokenizer.json holds merges, scores and normalization; the dictionary says which token each row belongs to. Where both
together say which tokenizer `convert` would have made, no further file is needed to judge it. What only the tokenizer's own
files could tell is named in `Derived.rest`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prenorm.errors import UsageProblem
from prenorm.tokenization.bytelevel import BytePairEncoding, plan_bytelevel
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, Dictionary, refuse_overwritten_specials
from prenorm.tokenization.gpt2 import MERGES_SHA256
from prenorm.tokenization.kinds import DictionaryKind, kind_of
from prenorm.tokenization.pieces import piece_problems
from prenorm.tokenization.vocabulary import Tokenization, TokenizationKind, Vocabulary, current_rows, frame
from prenorm.tokenization.words import plan_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_END_OF_TEXT = "<|endoftext|>"  # GPT-2's last number, behind its merges
_GIVE = {
    DictionaryKind.NUMBERS: "give encoder.json and vocab.bpe with --bpe-dir",
    DictionaryKind.PIECES: "give the sentencepiece model with --sentencepiece",
}


_UNTOLD = "their scores and their order, and what normalization makes of characters that no piece has"


@dataclass(frozen=True)
class Rest:
    """A part of a tokenizer that dictionary and tokenizer.json do not tell.

    Attributes:
        name: the part.
        reason: why it is not judged, and what would judge it.
        counts: whether it is more than the order of merges whose tokens the dictionary lacks.
    """

    name: str
    reason: str
    counts: bool


@dataclass(frozen=True)
class Derived:
    """What dictionary and tokenizer.json say together.

    Attributes:
        tokenization: the tokenizer that the folder must have; None if it cannot be derived.
        problem: why the folder's cannot be right, as a sentence, whatever a comparison finds; empty: nothing is known
            against it.
        reason: why nothing could be derived, and what would judge the folder's; empty where something was.
        rest: what of the tokenizer is not judged although there is one to compare with.
    """

    tokenization: Tokenization | None = None
    problem: str = ""
    reason: str = ""
    rest: tuple[Rest, ...] = ()


def derive_tokenization(dictionary: Dictionary, file: Path) -> Derived:
    """Derive the tokenizer that a folder must have.

    Args:
        dictionary: fairseq's dictionary, filled up to the embedding's rows.
        file: the folder's tokenizer.json, which `tokenizers` can read.

    Returns:
        The tokenizer, or why there is none.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    content = json.loads(tokenizer.to_str())
    kind, model = kind_of(dictionary), str(content["model"]["type"])
    if kind is None:
        return Derived(reason="the dictionary's lines do not say of which kind they are; name it with an option")
    try:
        refuse_overwritten_specials(dictionary, "the tokenizer")
        if kind is DictionaryKind.NUMBERS:
            if model != "BPE":
                return Derived(problem=f"its model is {model}, and the dictionary holds {kind}")
            return _of_numbers(dictionary, content["model"])
        if kind is DictionaryKind.WORDS and (model in ("WordLevel", "WordPiece") or _is_byte_level(content)):
            return Derived(plan_words(dictionary))
    except UsageProblem as error:
        return Derived(reason=error.cause)
    if model == "WordLevel":
        return Derived(problem=f"its model is WordLevel, and the dictionary holds {kind}")
    return _of_pieces(dictionary, kind, tokenizer)


def _is_byte_level(content: dict[str, Any]) -> bool:
    """Return whether a tokenizer's text is cut into bytes before anything else."""
    return '"ByteLevel"' in json.dumps(content["pre_tokenizer"])


def _of_numbers(dictionary: Dictionary, model: dict[str, Any]) -> Derived:
    """Derive a byte-level BPE: the merges, in their order, say which number each token has."""
    # GPT-2 numbers 256 bytes, then the merges, then <|endoftext|>. Tokenizers that Hugging Face's library trained number some
    # special tokens first. Either way all numbers are the merges' places plus one offset, which the dictionary tells.
    merges = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in model["merges"]]
    places = _places(merges)
    tokens = {row: token for token, row in model["vocab"].items()}
    numbers = {row: int(symbol) for row, symbol in enumerate(dictionary.symbols) if _is_number(symbol)}
    votes = Counter(number - places[tokens[row]] for row, number in numbers.items() if tokens.get(row) in places)
    offset, agreeing = votes.most_common(1)[0] if votes else (0, 0)
    if offset < 0 or 2 * agreeing < len(numbers):
        known = sum(number < len(places) for number in numbers.values())
        if known < 0.9 * len(numbers):
            return Derived(
                reason=f"its merges do not number the tokens as the dictionary does; {_GIVE[DictionaryKind.NUMBERS]}"
            )
        offset = 0  # GPT-2's own numbers, of which hardly one has its row
    ids = {token: place + offset for token, place in places.items()}
    end = len(places)
    if offset == 0 and str(end) in current_rows(dictionary):
        ids.setdefault(_END_OF_TEXT, end)
    strays = [
        tokens[row]
        for row, number in numbers.items()
        if number not in range(offset, offset + len(places)) and _is_text(tokens.get(row, "<>"))
    ]
    if strays:
        return Derived(
            problem=f"no merge makes '{strays[0]}' and {len(strays) - 1} more tokens that the dictionary has numbers of"
        )
    rest = _unnumbered(merges, ids, set(numbers.values()))
    return Derived(plan_bytelevel(dictionary, BytePairEncoding(ids, tuple(merges))), rest=rest)


def _is_number(symbol: str) -> bool:
    return symbol.isascii() and symbol.isdigit() and len(symbol) < 10


def _is_text(token: str) -> bool:
    """Return whether a token is one of text, and neither special nor the name of a row that no text reaches."""
    return not (token.startswith("<") and token.endswith(">")) and not _is_number(token)


def _places(merges: list[tuple[str, ...]]) -> dict[str, int]:
    """Return the place of every token in GPT-2's order: the bytes, then what each merge makes, once."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [*map(chr, printable), *(chr(256 + n) for n in range(256 - len(printable)))]
    places = {character: place for place, character in enumerate(characters)}
    for merge in merges:
        places.setdefault("".join(merge), len(places))
    return places


def _unnumbered(merges: list[tuple[str, ...]], ids: dict[str, int], numbers: set[int]) -> tuple[Rest, ...]:
    """Name the merges whose order the dictionary does not tell, unless they are GPT-2's own."""
    lacking = [merge for merge in merges if ids["".join(merge)] not in numbers]
    text = "".join(f"{line}\n" for line in ("#version: 0.2", *(" ".join(merge) for merge in merges)))
    if not lacking or hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() == MERGES_SHA256:
        return ()
    reason = (
        f"the dictionary has no numbers of {len(lacking)} of {len(merges)} merges, so it does not tell their order; "
        f"{_GIVE[DictionaryKind.NUMBERS]}"
    )
    return (Rest("merges", reason, counts=False),)


def _of_pieces(dictionary: Dictionary, kind: DictionaryKind, tokenizer: Tokenizer) -> Derived:
    """Derive a tokenizer whose tokens are the dictionary's symbols; scores, merges and normalization are the folder's own."""
    tokens = {row: token for token, row in tokenizer.get_vocab(with_added_tokens=True).items()}
    rows = current_rows(dictionary)
    # A row that no text reaches has its number behind its name, as `convert` writes it; a special token is always reached.
    reserved = {*SPECIAL_TOKENS, MASK_TOKEN}
    reached = {
        symbol: row for symbol, row in rows.items() if symbol in reserved or tokens.get(row) != f"{symbol} {row}"
    }
    size = max([*tokens, len(dictionary) - 1]) + 1
    names = tuple(tokens.get(row, "") for row in range(size))

    def build() -> Tokenizer:
        from tokenizers import Tokenizer

        made = Tokenizer(tokenizer.model)
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            if getattr(tokenizer, part) is not None:
                setattr(made, part, getattr(tokenizer, part))
        frame(made)
        return made

    vocabulary = Vocabulary(names, size - len(dictionary))
    planned = Tokenization(TokenizationKind.SENTENCEPIECE, dictionary, vocabulary, dict(reached), build, {})
    if kind not in (DictionaryKind.PIECES, DictionaryKind.WORDS):  # pieces of a script without spaces look like words
        reason = "the dictionary does not tell merges, scores and normalization; no option names this kind"
        return Derived(planned, rest=(Rest("tokenizer's rules", reason, counts=True),))
    reason = f"the dictionary tells the pieces, and not {_UNTOLD}; {_GIVE[DictionaryKind.PIECES]}"
    problem = "; ".join(piece_problems(dictionary, tokenizer))
    return Derived(planned, problem, rest=(Rest("sentencepiece model", reason, counts=True),))
