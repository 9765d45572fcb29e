"""A dictionary of words: the text is split at white space, and a word that the dictionary lacks is `<unk>`.

That is fairseq's `Dictionary.encode_line` with `tokenize_line`, which a model without a BPE was trained with: white space is
what Python's `str.isspace` says. The same ids come out for every text, but for one that spells a special token as a part of a
word: `x<mask>y` is a word (`<unk>`) to fairseq, and a mask between two words here. As words of their own they agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prenorm.options.spoken import spoken
from prenorm.tokenization.dictionary import SPECIAL_TOKENS, UNK, Dictionary
from prenorm.tokenization.kinds import DictionaryKind, refuse_other_kind
from prenorm.tokenization.vocabulary import Tokenization, TokenizationKind, Vocabulary, current_rows, frame, name_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# str.isspace, as the inside of a character class
WHITE_SPACE = r"\x{9}-\x{D}\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"


def plan_words(dictionary: Dictionary) -> Tokenization:
    """Plan the tokenizer of a dictionary of words.

    Args:
        dictionary: fairseq's dictionary.

    Returns:
        The tokenizer.

    Raises:
        UsageProblem: if the dictionary's lines are no words, so that every word of a text would be `<unk>`.
    """
    refuse_other_kind(dictionary, spoken("words"), DictionaryKind.WORDS)
    rows = current_rows(dictionary)
    reached = {symbol: row for symbol, row in rows.items() if symbol and not any(map(str.isspace, symbol))}
    tokens = name_rows(dictionary, reached)
    vocabulary = Vocabulary(tokens, 0)
    return Tokenization(
        TokenizationKind.WORDS, dictionary, vocabulary, dict(reached), lambda: build_words(vocabulary), {}
    )


def build_words(vocabulary: Vocabulary) -> Tokenizer:
    """Build the `tokenizers` object. Decoding puts a space between words.

    Args:
        vocabulary: the tokens by id.

    Returns:
        The tokenizer.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(
        models.WordLevel({token: row for row, token in enumerate(vocabulary.tokens)}, unk_token=SPECIAL_TOKENS[UNK])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"[{WHITE_SPACE}]+"), "removed")
    frame(tokenizer)
    return tokenizer
