"""The fixtures with a tokenizer, and what of their texts is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.paths import BPE, FIXTURES
from prenorm.tokenization import Tokenization, plan_tokenization
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, read_dictionary

TOKENIZERS = FIXTURES / "tokenizers"
UNIGRAM, PIECES_BPE, WORDS = (TOKENIZERS / name for name in ("sentencepiece-unigram", "sentencepiece-bpe", "words"))
GPT2 = FIXTURES / "dinkytrain-mlm"
MODELS = {folder: folder / "sentencepiece.model" for folder in (UNIGRAM, PIECES_BPE)}
# folder -> what `convert` is told, what fairseq's tokenizer is called and made of
KINDS: dict[str, tuple[Path, dict[str, Any], str, Path | None]] = {
    "gpt2": (GPT2, {"bpe_dir": BPE}, "gpt2", BPE),
    "unigram": (UNIGRAM, {"sentencepiece": MODELS[UNIGRAM]}, "sentencepiece", MODELS[UNIGRAM]),
    "bpe": (PIECES_BPE, {"sentencepiece": MODELS[PIECES_BPE]}, "sentencepiece", MODELS[PIECES_BPE]),
    "words": (WORDS, {"words": True}, "words", None),
}  # fmt: skip
RESERVED = (*SPECIAL_TOKENS, MASK_TOKEN)


def planned(dictionary: Path, **options: Any) -> Tokenization:
    """The tokenizer that the options name."""
    given = {"bpe_dir": None, "sentencepiece": None, "words": False, **options}
    found = plan_tokenization(read_dictionary(dictionary), **given)
    assert found is not None
    return found


def encode(tokenization: Tokenization, texts: list[str]) -> list[list[int]]:
    """The ids; a row behind the dictionary's is one that the model treats as `<unk>`."""
    rows = len(tokenization.dictionary)
    return [[row if row < rows else 3 for row in found.ids] for found in tokenization.build().encode_batch(texts)]


def free_of_special_tokens(texts: list[str]) -> list[str]:
    """The texts that spell no special token."""
    return [text for text in texts if not any(token in text for token in RESERVED)]


def differing(texts: list[str], ours: list[Any], theirs: list[Any]) -> list[tuple[str, Any, Any]]:
    """The texts that do not agree, with both answers."""
    return [case for case in zip(texts, ours, theirs, strict=True) if case[1] != case[2]]
