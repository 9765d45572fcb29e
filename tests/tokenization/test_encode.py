"""Every kind of tokenizer against real fairseq's encode and decode, on texts made to hurt."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tokenizer_cases import KINDS, differing, encode, free_of_special_tokens, planned
from helpers.tokenizer_texts import TEXTS, TRAINING, WORDS
from prenorm.tokenization.dictionary import UNK
from prenorm.tokenization.sentencepiece.model import read_sentencepiece

pytestmark = pytest.mark.slow

Fairseq = Callable[..., Any]
# Models beside those of the fixtures: options of the sentencepiece trainer.
MODELS: dict[str, dict[str, Any]] = {
    "unigram, nfkc": {"model_type": "unigram", "normalization_rule_name": "nfkc"},
    "unigram, lower case": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc_cf"},
    "unigram, bytes": {"model_type": "unigram", "byte_fallback": True, "vocab_size": 640},
    "unigram, no space in front": {"model_type": "unigram", "add_dummy_prefix": False, "normalization_rule_name": "identity"},
    "unigram, spaces kept": {"model_type": "unigram", "remove_extra_whitespaces": False},
    "unigram, user's symbols": {
        "model_type": "unigram", "user_defined_symbols": ["<sep>", "the", "ガラス", "[X]"],
        "normalization_rule_name": "identity",
    },
    "unigram, pieces across words": {
        "model_type": "unigram", "split_by_whitespace": False, "normalization_rule_name": "identity",
    },
    "bpe, nmt_nfkc": {"model_type": "bpe"},
    "bpe, bytes": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 640, "normalization_rule_name": "identity"},
    "bpe, spaces kept": {"model_type": "bpe", "remove_extra_whitespaces": False, "normalization_rule_name": "identity"},
    "bpe, pieces across words": {"model_type": "bpe", "split_by_whitespace": False, "normalization_rule_name": "identity"},
}  # fmt: skip


@cache
def drawn() -> list[str]:
    """hypothesis's strings, gathered first and sent in one go."""
    texts: list[str] = []

    @settings(max_examples=1200, deadline=None, database=None, derandomize=True)
    @given(
        st.one_of(
            st.text(max_size=30),
            st.lists(st.sampled_from(WORDS), max_size=14).map("".join),
            st.text("abet ", max_size=40),
            st.text("鬱龘薔薇🙂 a\x85", max_size=8),
        )
    )
    def gather(text: str) -> None:
        texts.append(text)

    gather()
    assert len(texts) > 1000
    return texts


def check(fairseq: Fairseq, dictionary: Path, kind: str, source: Path | None, **options: Any) -> list[list[int]]:
    """Every text's ids are fairseq's; returns fairseq's."""
    symbols = fairseq("load", name="it", kind=kind, dictionary=str(dictionary), source=source and str(source))
    tokenization = planned(dictionary, **options)
    assert list(tokenization.dictionary.symbols) == symbols
    texts = free_of_special_tokens([*TEXTS, *drawn()])
    theirs: list[list[int]] = fairseq("encode", name="it", texts=texts)
    assert not differing(texts, encode(tokenization, texts), theirs)
    return theirs


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_texts_are_real_fairseqs(kind: str, fairseq: Fairseq) -> None:
    folder, options, name, source = KINDS[kind]
    found = check(fairseq, folder / "dict.txt", name, source, **options)
    assert len({row for ids in found for row in ids}) > 40
    assert sum(ids.count(UNK) for ids in found) > 100
    # fairseq's GPT-2 cannot decode most of its own `<unk>`; the others print it.
    rows = [ids[1:-1] for ids in found if kind != "gpt2" or UNK not in ids]
    tokenizer = planned(folder / "dict.txt", **options).build()
    ours = [tokenizer.decode(ids, skip_special_tokens=False) for ids in rows]
    assert not differing(rows, ours, fairseq("decode", name="it", rows=rows))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS)
def test_ids_are_real_fairseqs_for_every_option_of_sentencepiece(model: str, fairseq: Fairseq, tmp_path: Path) -> None:
    options = {"vocab_size": 400, "hard_vocab_limit": MODELS[model]["model_type"] == "bpe", "character_coverage": 0.985}
    pieces = fairseq("train", lines=TRAINING, model=str(tmp_path / "m"), options={**options, **MODELS[model]})
    known = [piece for piece in pieces if piece not in ("<s>", "</s>", "<unk>")][::-1]
    lines = [*known[20:], "madeupword0000"]  # another order, some lacking
    if (
        "user" not in model
    ):  # there "<" is no piece, and "<sep>" is one, so that runs of unknown characters are not known
        lines += ["龘", "鬱"]
    dictionary = tmp_path / "dict.txt"
    dictionary.write_text("".join(f"{line} 1\n" for line in lines), encoding="utf-8")
    check(fairseq, dictionary, "sentencepiece", tmp_path / "m.model", sentencepiece=tmp_path / "m.model")


def test_a_run_of_unknown_characters_is_found_only_whole(fairseq: Fairseq) -> None:
    folder, options, name, source = KINDS["unigram"]
    symbols = fairseq("load", name="runs", kind=name, dictionary=str(folder / "dict.txt"), source=str(source))
    runs = [symbol for symbol in symbols if symbol in ("薔薇", "🙂", "龘龘", "鬱")]
    assert runs
    for run in runs:
        row = symbols.index(run)
        texts = [f"a{run}b", f"a{run}Ω{run}b", run * 2, f"{run} {run}"]
        theirs = fairseq("encode", name="runs", texts=texts)
        assert [row in ids for ids in theirs] == [True, False, False, True]
        assert encode(planned(folder / "dict.txt", **options), texts) == theirs


def test_equally_likely_cuts_may_be_other_ones(fairseq: Fairseq, tmp_path: Path) -> None:
    """In a language of two letters: the same pieces in another order, or others with the same probability."""
    draw = random.Random(5)
    lines = ["".join(draw.choices("ab", k=10)) for _ in range(300)]
    options = {
        "model_type": "unigram",
        "vocab_size": 40,
        "hard_vocab_limit": False,
        "normalization_rule_name": "identity",
    }
    pieces = fairseq("train", lines=lines, model=str(tmp_path / "m"), options=options)
    (tmp_path / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in pieces[3:]), encoding="utf-8")
    fairseq(
        "load", name="ab", kind="sentencepiece", dictionary=str(tmp_path / "dict.txt"), source=str(tmp_path / "m.model")
    )
    texts = ["".join(draw.choices("ab", k=draw.randint(5, 60))) for _ in range(600)]
    tokenization = planned(tmp_path / "dict.txt", sentencepiece=tmp_path / "m.model")
    apart = differing(texts, encode(tokenization, texts), fairseq("encode", name="ab", texts=texts))
    assert 0 < len(apart) < len(texts) / 2
    scores = {piece.text: piece.score for piece in read_sentencepiece(tmp_path / "m.model").pieces}
    names = tokenization.vocabulary.tokens
    for _, ours, theirs in apart:
        mine, other = (sum(scores[names[row]] for row in ids[1:-1]) for ids in (ours, theirs))
        assert mine == pytest.approx(other, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_spells_special_tokens(kind: str, fairseq: Fairseq) -> None:
    """fairseq reads them as text, or as words of the dictionary; transformers' users want the tokens."""
    folder, options, name, source = KINDS[kind]
    symbols = fairseq(
        "load", name="special", kind=name, dictionary=str(folder / "dict.txt"), source=source and str(source)
    )
    mask = symbols.index("<mask>")
    texts = ["a <mask> b", "a</s>b"]
    theirs = fairseq("encode", name="special", texts=texts)
    ours = encode(planned(folder / "dict.txt", **options), texts)
    assert ours[0].count(mask) == 1
    assert ours[1].count(2) == 2
    if kind == "words":  # a word of its own is the token to fairseq, too
        assert ours[0] == theirs[0]
        assert theirs[1] == [0, UNK, 2]
    else:
        assert mask not in theirs[0]
        assert theirs[1].count(2) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_mask_takes_the_space_before_it_as_fairseqs_fill_mask_does(kind: str, fairseq: Fairseq) -> None:
    """fill_mask encodes what stands before the mask, stripped at its end, and what stands behind it, each by itself."""
    folder, options, name, source = KINDS[kind]
    symbols = fairseq(
        "load", name="mask", kind=name, dictionary=str(folder / "dict.txt"), source=source and str(source)
    )
    before, behind = fairseq("encode", name="mask", texts=["the dog", " copies of this"])
    tokenizer = planned(folder / "dict.txt", **options)
    wanted = [*before[:-1], symbols.index("<mask>"), *behind[1:]]
    assert encode(tokenizer, ["the dog <mask> copies of this", "the dog<mask> copies of this"]) == [wanted, wanted]


@pytest.mark.parametrize("kind", ["gpt2", "unigram", "bpe"])
def test_a_lone_surrogate_is_no_text_to_either(kind: str, fairseq: Fairseq) -> None:
    folder, options, name, source = KINDS[kind]
    fairseq("load", name="lone", kind=name, dictionary=str(folder / "dict.txt"), source=source and str(source))
    assert fairseq("encode", name="lone", texts=["a\ud800b"]) == [None]
    with pytest.raises((UnicodeEncodeError, TypeError)):
        planned(folder / "dict.txt", **options).build().encode("a\ud800b")


@pytest.mark.parametrize("kind", KINDS)
def test_offsets_are_of_characters_and_cover_the_words(kind: str) -> None:
    """Of a mark that is composed with the character before it, `tokenizers` keeps that character's place only."""
    text = "café 🙂 l'e\u0301te\u0301 が x"
    folder, options, _, _ = KINDS[kind]
    found = planned(folder / "dict.txt", **options).build().encode(text)
    spans = [span for span, special in zip(found.offsets, found.special_tokens_mask, strict=True) if not special]
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    covered = {place for start, end in spans for place in range(start, end)}
    bases = {at for at, character in enumerate(text) if not (character.isspace() or unicodedata.combining(character))}
    assert bases <= covered
