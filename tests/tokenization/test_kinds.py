"""The kind of a dictionary is recognized from its lines, and `--words` over another kind is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.tokenizer_cases import GPT2, PIECES_BPE, UNIGRAM, WORDS, planned
from prenorm import convert
from prenorm.errors import UsageProblem
from prenorm.tokenization import DictionaryKind, kind_of
from prenorm.tokenization.dictionary import MASK_TOKEN, SPECIAL_TOKENS, Dictionary, read_dictionary

LINES = {
    DictionaryKind.NUMBERS: ["11 9", "262 8", "50118 1", "<user> 1", *(f"{number} 1" for number in range(12, 30))],
    DictionaryKind.PIECES: ["▁ 9", "的 9", "▁the 3", "s 2", "1 1", "ing 1"],
    DictionaryKind.BYTE_PIECES: ["Ġthe 9", "ing 8", "Ġa 3", ". 2"],
    DictionaryKind.WORDPIECES: ["the 9", "##ing 8", "##s 3", "[CLS] 1"],
    DictionaryKind.SUBWORDS: ["th@@ 9", "e 8", "ing 3"],
}


def dictionary_of(lines: list[str], folder: Path) -> Path:
    """A file with these lines, and some that say nothing."""
    path = folder / "dict.txt"
    path.write_text("".join(f"{line}\n" for line in [*lines, "madeupword0000 0", "madeupword0001 0"]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (GPT2, DictionaryKind.NUMBERS),
        (UNIGRAM, DictionaryKind.PIECES),
        (PIECES_BPE, DictionaryKind.PIECES),
        (WORDS, DictionaryKind.WORDS),
    ],
)
def test_fixtures_are_recognized(source: Path, kind: DictionaryKind) -> None:
    assert kind_of(read_dictionary(source / "dict.txt")) is kind


@pytest.mark.parametrize("kind", LINES)
def test_words_over_another_kind_are_refused(kind: DictionaryKind, tmp_path: Path) -> None:
    path = dictionary_of(LINES[kind], tmp_path)
    assert kind_of(read_dictionary(path)) is kind
    with pytest.raises(UsageProblem, match=f"the dictionary holds {kind}"):
        planned(path, words=True)


@pytest.mark.parametrize(
    "lines",
    [
        ["the 9", "1 3", "2 3", "1999 2", "of 1"],  # more numbers than other words
        ["▁▁▂▃▅▇ 9", "▂▂ 3", "the 2"],  # bars drawn in a web page
        ["# 9", "## 8", "### 7", "@@ 3", "a@b 3"],
        ["Ġunju 9", *(f"kelma{number} 1" for number in range(40))],  # a Maltese month
    ],
)
def test_words_that_look_like_another_kind_stay_words(lines: list[str], tmp_path: Path) -> None:
    path = dictionary_of(lines, tmp_path)
    assert kind_of(read_dictionary(path)) is DictionaryKind.WORDS
    assert planned(path, words=True)


def test_a_dictionary_that_says_nothing_has_no_kind(tmp_path: Path) -> None:
    assert kind_of(read_dictionary(dictionary_of(["<blank> 0"], tmp_path))) is None


@given(st.lists(st.integers(0, 50_256), min_size=1, max_size=60, unique=True), st.integers(0, 6))
def test_numbers_are_numbers_whichever_they_are(numbers: list[int], fill: int) -> None:
    symbols = (*SPECIAL_TOKENS, *map(str, numbers), *(f"madeupword{number:04d}" for number in range(fill)), MASK_TOKEN)
    assert kind_of(Dictionary(Path("dict.txt"), symbols)) is DictionaryKind.NUMBERS


def test_convert_refuses_words_over_numbers(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="numbers of GPT-2's byte-level BPE"):
        convert(GPT2 / "checkpoint.pt", tmp_path / "out", words=True)
    assert not (tmp_path / "out").exists()
