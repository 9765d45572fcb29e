"""Tokenizers with fairseq's ids, of three kinds; the files that a folder has of one; the check of a written one."""

from __future__ import annotations

from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.options.spoken import spoken
from prenorm.tokenization.bytelevel import plan_bytelevel, read_bpe
from prenorm.tokenization.derived import Derived, derive_tokenization
from prenorm.tokenization.dictionary import MASK_TOKEN, Dictionary, refuse_overwritten_specials
from prenorm.tokenization.kinds import DictionaryKind, kind_of
from prenorm.tokenization.sentencepiece.model import read_sentencepiece
from prenorm.tokenization.sentencepiece.tokenizer import plan_sentencepiece
from prenorm.tokenization.vocabulary import Tokenization, TokenizationKind
from prenorm.tokenization.words import plan_words

__all__ = [
    "Derived", "Dictionary", "DictionaryKind", "Tokenization", "TokenizationKind", "count_wrong_ids",
    "derive_tokenization", "kind_of", "named_options", "plan_tokenization", "tokenizer_config",
]  # fmt: skip


def named_options(bpe_dir: Path | None, sentencepiece: Path | None, words: bool) -> str | None:
    """Return the one option that names a kind of tokenizer.

    Args:
        bpe_dir: the value of --bpe-dir.
        sentencepiece: the value of --sentencepiece.
        words: whether --words is given.

    Returns:
        The option, as a sentence names it; None if there is none.

    Raises:
        UsageProblem: if there are several.
    """
    options = {"bpe_dir": bpe_dir is not None, "sentencepiece": sentencepiece is not None, "words": words}
    named = [spoken(option) for option, is_set in options.items() if is_set]
    if len(named) > 1:
        raise UsageProblem(
            f"{' and '.join(named)} are different tokenizers",
            advice="Give the one that the training data were encoded with",
        )
    return named[0] if named else None


def plan_tokenization(
    dictionary: Dictionary, bpe_dir: Path | None, sentencepiece: Path | None, words: bool
) -> Tokenization | None:
    """Plan the tokenizer that the options name.

    Args:
        dictionary: fairseq's dictionary.
        bpe_dir: a folder with GPT-2's byte-level BPE.
        sentencepiece: a sentencepiece model.
        words: whether the dictionary holds words.

    Returns:
        The tokenizer; None if no option names one.

    Raises:
        UsageProblem: if its files cannot be read, do not go with the dictionary, or cannot be had exactly.
    """
    named = named_options(bpe_dir, sentencepiece, words)
    if named is not None:
        refuse_overwritten_specials(dictionary, named)
    if bpe_dir is not None:
        return plan_bytelevel(dictionary, read_bpe(bpe_dir))
    if sentencepiece is not None:
        return plan_sentencepiece(dictionary, read_sentencepiece(sentencepiece))
    return plan_words(dictionary) if words else None


def tokenizer_config(tokenization: Tokenization, max_length: int) -> dict[str, object]:
    """Return the content of tokenizer_config.json.

    Args:
        tokenization: the tokenizer.
        max_length: the most tokens that the model takes, special ones included.

    Returns:
        Keys in alphabetical order.
    """
    settings = {
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": {
            "__type": "AddedToken", "content": MASK_TOKEN, "lstrip": True, "normalized": False, "rstrip": False,
            "single_word": False, "special": True,
        },
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": max_length,
        "pad_token": "<pad>",
        "padding_side": "right",
        "sep_token": "</s>",
        # The generic class takes tokenizer.json as it is. In transformers 5 RobertaTokenizer would rebuild it and forget the
        # unk token, and XLMRobertaTokenizer would build a Unigram model of vocabulary and charsmap, and lose the rest.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "truncation_side": "right",
        "unk_token": "<unk>",
    }  # fmt: skip
    return dict(sorted({**settings, **tokenization.settings}.items()))


def count_wrong_ids(file: Path, tokenization: Tokenization) -> tuple[int, int]:
    """Read a written tokenizer.json back and compare its ids with fairseq's.

    fairseq's id of a token is its row in the dictionary, or that of `<unk>`. For `<unk>`, a row behind the dictionary's last
    one, or no row at all, is right as well.

    Args:
        file: tokenizer.json.
        tokenization: the tokenizer as planned.

    Returns:
        How many tokens texts are made of, and how many of them have another id than fairseq's.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    wrong = 0
    for token, row in tokenization.fairseq_rows.items():
        number = tokenizer.token_to_id(token)
        wrong += (number is not None and number < len(tokenization.dictionary)) if row is None else number != row
    return len(tokenization.fairseq_rows), wrong
