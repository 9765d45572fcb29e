"""The tokenizer against real fairseq's encode, and what the vocabulary is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.paths import BPE, FIXTURES, SCRIPTS
from helpers.workers import run_fairseq
from prenorm.errors import UsageProblem
from prenorm.tokenization.bytelevel import build_tokenizer, plan_vocabulary, read_bpe
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, Dictionary, check_rows, read_dictionary

DICT = FIXTURES / "dinkytrain-mlm" / "dict.txt"
ROWS = 433
RESERVED = (*SPECIAL_TOKENS, MASK_TOKEN)


def ours(texts: list[str]) -> list[list[int]]:
    tokenizer = build_tokenizer(plan_vocabulary(read_dictionary(DICT), read_bpe(BPE)))
    return [[row if row < ROWS else 3 for row in found.ids] for found in tokenizer.encode_batch(texts)]


def fairseqs(texts: list[str]) -> list[list[int]]:
    found: list[list[int]] = run_fairseq(SCRIPTS / "fairseq_encode.py", BPE, DICT, stdin=texts)
    return found


@pytest.mark.slow
def test_ids_are_real_fairseqs_on_hypothesis_strings() -> None:
    """Strings are gathered first and sent to fairseq in one go: starting it costs seconds."""
    words = st.sampled_from(
        ["the ", " license", "'s", "don't", "  ", "\t", "\n", "GNU", "é", "日本", "🙂", "\u00a0", "12", "_"]
    )
    texts: list[str] = []

    @settings(max_examples=1500, deadline=None, database=None, derandomize=True)
    @given(st.one_of(st.text(max_size=40), st.lists(words, max_size=12).map("".join)))
    def gather(text: str) -> None:
        if not any(token in text for token in RESERVED):
            texts.append(text)

    gather()
    texts += [case["text"] for case in json.loads((FIXTURES / "tokenization.json").read_text())]
    assert len(texts) > 1000
    assert ours(texts) == fairseqs(texts)


@pytest.mark.slow
def test_ids_are_real_fairseqs_around_every_kind_of_character() -> None:
    """The splitting rules depend on Unicode classes, which two regex engines could draw differently."""
    characters = [chr(code) for code in range(0, 0x30000, 7) if not 0xD800 <= code < 0xE000]
    characters += [chr(code) for code in (*range(0x300), *range(0x2000, 0x2070), 0x3000, 0xFEFF, 0x1F1E6, 0x10FFFF)]
    texts = [f"a{c}the {c}1{c} {c}{c}  the{c}'s" for c in characters]
    assert ours(texts) == fairseqs(texts)


def test_five_tokens_that_merges_need_stand_behind_the_dictionary() -> None:
    vocabulary = plan_vocabulary(read_dictionary(DICT), read_bpe(BPE))
    assert (len(vocabulary.tokens), vocabulary.extra_rows) == (438, 5)
    made = {left + right for left, right in vocabulary.merges}
    parts = {part for merge in vocabulary.merges for part in merge}
    assert all(token in made | parts for token in vocabulary.tokens[ROWS:])
    assert vocabulary.tokens[:4] == SPECIAL_TOKENS
    assert vocabulary.tokens[432] == MASK_TOKEN
    assert len(set(vocabulary.tokens)) == 438


def write_dictionary(folder: Path, *lines: str) -> Path:
    path = folder / "dict.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_dictionary_rows_follow_fairseqs_rules(tmp_path: Path) -> None:
    path = write_dictionary(tmp_path, "a 3", "b c 2", "a 1 #fairseq:overwrite", "madeupword0000 0")
    assert read_dictionary(path).symbols == (*SPECIAL_TOKENS, "a", "b c", "a", "madeupword0000", MASK_TOKEN)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("a 1", "a 2"), "line 2 of the dictionary repeats the token 'a'"),
        (("alone",), "line 1 of the dictionary is not"),
    ],
)
def test_dictionary_errors_name_the_line(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        read_dictionary(write_dictionary(tmp_path, *lines))


@pytest.mark.parametrize(("rows", "said"), [(433, None), (431, "2 more than"), (440, "7 fewer than")])
def test_dictionary_must_have_a_token_for_every_row(rows: int, said: str | None) -> None:
    dictionary = read_dictionary(DICT)
    if said is None:
        check_rows(dictionary, rows)
    else:
        with pytest.raises(UsageProblem, match=said):
            check_rows(dictionary, rows)


def test_overwritten_token_keeps_its_first_row_unused() -> None:
    bpe = read_bpe(BPE)
    symbols = (*SPECIAL_TOKENS, "5", "6", "5", MASK_TOKEN)
    vocabulary = plan_vocabulary(Dictionary(DICT, symbols), bpe)
    token = next(token for token, number in bpe.ids.items() if number == 5)
    assert vocabulary.tokens.index(token) == 6


def test_dictionary_of_another_tokenizer_is_refused() -> None:
    with pytest.raises(UsageProblem, match="belongs to another tokenizer"):
        plan_vocabulary(Dictionary(DICT, (*SPECIAL_TOKENS, "hello", MASK_TOKEN)), read_bpe(BPE))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("encoder.json", "not json", "is no JSON"),
        ("encoder.json", '{"a": "b"}', "is no table"),
        ("encoder.json", '{"a": 1, "b": 1}', "two tokens one number"),
        ("vocab.bpe", "#version: 0.2\nzz qq\n", "line 2 is no merge"),
        ("vocab.bpe", None, "does not exist"),
    ],
)
def test_damaged_bpe_files_are_named(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    for file in ("encoder.json", "vocab.bpe"):
        (tmp_path / file).write_bytes((BPE / file).read_bytes())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageProblem, match=said) as caught:
        read_bpe(tmp_path)
    assert name in str(caught.value)
