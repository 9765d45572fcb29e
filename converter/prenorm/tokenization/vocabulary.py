"""What every kind of tokenizer is planned as: a token for each row, and the rows behind the dictionary's last one."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prenorm.tokenization.dictionary import BOS, EOS, MASK_TOKEN, SPECIAL_TOKENS, Dictionary
from prenorm.words import Worded

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[i]` is the token with id i. The last `extra_rows` are tokens that the dictionary lacks."""

    tokens: tuple[str, ...]
    extra_rows: int
    merges: tuple[tuple[str, str], ...] = ()


class TokenizationKind(Worded):
    """Which kind of tokenizer the training data were encoded with."""

    BYTE_LEVEL = "byte-level BPE"
    SENTENCEPIECE = "sentencepiece"
    WORDS = "words"


@dataclass(frozen=True)
class Tokenization:
    """A tokenizer, planned.

    Attributes:
        kind: which kind of tokenizer it is.
        dictionary: fairseq's dictionary.
        vocabulary: the tokens by id.
        fairseq_rows: every token that texts are made of, with its row; None: fairseq reads it as `<unk>`.
        build: makes the `tokenizers` object.
        settings: what tokenizer_config.json says in addition to what it says of all kinds.
        notes: what fairseq's encode does and this tokenizer does not, a sentence each.
    """

    kind: TokenizationKind
    dictionary: Dictionary
    vocabulary: Vocabulary
    fairseq_rows: dict[str, int | None]
    build: Callable[[], Tokenizer]
    settings: dict[str, object]
    notes: tuple[str, ...] = ()


def current_rows(dictionary: Dictionary) -> dict[str, int]:
    """Return the row that each symbol is looked up as: of one that the dictionary overwrites, the last.

    Args:
        dictionary: fairseq's dictionary.

    Returns:
        Row by symbol.
    """
    return {symbol: row for row, symbol in enumerate(dictionary.symbols)}


def name_rows(dictionary: Dictionary, reached: Container[str]) -> tuple[str, ...]:
    """Return the tokens of a dictionary's rows, for tokenizers whose texts have no token with a space.

    Args:
        dictionary: fairseq's dictionary.
        reached: the symbols that a text can become.

    Returns:
        The symbols that texts reach; in the other rows (of symbols overwritten, empty, with white space, or of another
        tokenizer) a name with a space, which none reaches.
    """
    rows = current_rows(dictionary)
    return tuple(
        symbol if rows[symbol] == row and symbol in reached else f"{symbol} {row}"
        for row, symbol in enumerate(dictionary.symbols)
    )


def frame(tokenizer: Tokenizer) -> None:
    """Add the special tokens to a tokenizer, and frame a text as `<s> a </s>` and a pair as `<s> a </s></s> b </s>`.

    Args:
        tokenizer: is changed in place.
    """
    from tokenizers import processors

    bos, eos = SPECIAL_TOKENS[BOS], SPECIAL_TOKENS[EOS]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, BOS), (eos, EOS)],
    )
    add_special_tokens(tokenizer)


def add_special_tokens(tokenizer: Tokenizer) -> None:
    """Add fairseq's special tokens, which are found in a text before anything else.

    Args:
        tokenizer: is changed in place.
    """
    from tokenizers import AddedToken

    tokenizer.add_special_tokens(
        [
            *(AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS),
            # fairseq's fill_mask strips the text before a mask, so the mask takes the space with it.
            AddedToken(MASK_TOKEN, special=True, normalized=False, lstrip=True),
        ]
    )
