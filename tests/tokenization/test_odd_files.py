"""Dictionaries and merges files as hypothesis draws them: prenorm gives real fairseq's ids or refuses, and nothing else."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from helpers.paths import BPE
from helpers.tokenizer_cases import GPT2, WORDS, free_of_special_tokens, planned
from prenorm.errors import UsageProblem
from prenorm.tokenization import count_wrong_ids

pytestmark = pytest.mark.slow

Fairseq = Callable[..., Any]
EXAMPLES = int(os.environ.get("ODD_FILES_EXAMPLES", "100"))  # of each property; by hand, thousands
PATIENT = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
ODD_SYMBOLS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "b c",
            "the dog",
            " the",
            "the ",
            "\u00a0",
            "the\u00a0",
            "\ufeffthe",
            "\t",
            "a\tb",
            "\x85",
            "\x1c",
            "\x00",
        ]
    ),
    st.sampled_from(
        [*SPECIALS, "madeupword0000", "madeupword0001", "[X]", "<x>", "#fairseq:overwrite", "the", "5", "dog 5"]
    ),
    st.sampled_from(["▁", "▁the", "Ġthe", "##s", "th@@", "龘", "薔薇", "e\u0301", "+5", "007", "²", "99999"]),
    st.text(st.characters(codec="utf-8"), max_size=4),
)
COUNTS = st.sampled_from(
    ["1", "1", "1", "1", "999", "-3", "+5", "1_000", "１２", " 7", "\t7", "²", "--5", "+", "", "1.5", "x"]
)
FLAGS = st.sampled_from(["", "", " #fairseq:overwrite", " #fairseq:overwrite", "  #fairseq:overwrite", " #overwrite"])
ODD_LINES = st.one_of(
    st.tuples(ODD_SYMBOLS, st.sampled_from([" ", " ", " ", "  ", "\t", ""]), COUNTS, FLAGS).map("".join),
    st.tuples(st.sampled_from(SPECIALS), FLAGS).map(lambda parts: f"{parts[0]} 1{parts[1]}"),
    st.sampled_from(["", "1", "#fairseq:overwrite", "# a comment", " 1", "  1", " 1 #fairseq:overwrite"]),
)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", " \n"])


@st.composite
def files(draw: st.DrawFn, lines: list[str], odd: st.SearchStrategy[str]) -> str:
    """The text of a file with some of the lines, in any order, and a few odd ones."""
    kept = lines
    if draw(st.booleans()):
        kept = draw(st.permutations(lines))[: draw(st.integers(1, len(lines)))]
    kept = list(kept)
    for line in draw(st.lists(odd, max_size=2)):
        kept.insert(draw(st.integers(0, len(kept))), line)
    if draw(st.booleans()):
        again = kept[draw(st.integers(0, len(kept) - 1))]
        kept.insert(draw(st.integers(0, len(kept))), again + draw(FLAGS))
    end = draw(ENDS)
    text = end.join(kept) + draw(st.sampled_from([end, end, end, ""]))
    return draw(st.sampled_from(["", "", "", "\ufeff"])) + text


class Judge:
    """Compares what prenorm makes of files with what fairseq makes of them."""

    def __init__(self, fairseq: Fairseq, folder: Path, kind: str, source: Path | None, **options: Any) -> None:
        self.fairseq, self.folder, self.kind, self.source, self.options = fairseq, folder, kind, source, options
        self.outcomes: Counter[str] = Counter()

    def judge(self, content: str, texts: list[str]) -> None:
        path = self.folder / "dict.txt"
        path.write_bytes(content.encode())
        source = self.source and str(self.source)
        symbols = self.fairseq("attempt", name="odd", kind=self.kind, dictionary=str(path), source=source)
        try:
            tokenization = planned(path, **self.options)
        except UsageProblem as problem:
            assert str(problem)
            self.outcomes["refused"] += 1
            return
        assert symbols == list(tokenization.dictionary.symbols)
        file = self.folder / "tokenizer.json"
        tokenization.build().save(str(file))
        assert count_wrong_ids(file, tokenization)[1] == 0
        built = Tokenizer.from_file(str(file))
        assert built.get_vocab_size() == len(tokenization.vocabulary.tokens)
        texts = free_of_special_tokens([*texts, " ".join(symbols), *symbols])
        rows = len(symbols)
        for text, theirs in zip(texts, self.fairseq("encode", name="odd", texts=texts), strict=True):
            ours = [row if row < rows else 3 for row in built.encode(text).ids]
            assert theirs is None or ours == theirs, text
            self.outcomes["<unk>" if 3 in ours else "known"] += 1
        self.outcomes["judged"] += 1

    def check_share(self) -> None:
        """Neither all drawn files were refused nor none."""
        assert self.outcomes["judged"] > EXAMPLES / 10
        assert self.outcomes["refused"] > EXAMPLES / 20
        assert self.outcomes["known"] > 0


def entries(folder: Path) -> list[str]:
    return (folder / "dict.txt").read_text(encoding="utf-8").splitlines()


TEXTS = [
    "the dog",
    "the  dog\tand\u00a0the license",
    "b c dog 5",
    "",
    " ",
    "龘 薔薇 e\u0301 é",
    "5 262 99999",
    "▁the th@@ ##s",
    "!\x00a",
]


def test_dictionaries_of_words(fairseq: Fairseq, tmp_path: Path) -> None:
    judge = Judge(fairseq, tmp_path, "words", None, words=True)

    @PATIENT
    @given(files(entries(WORDS)[:12], ODD_LINES))
    def hold(content: str) -> None:
        judge.judge(content, TEXTS)

    hold()
    judge.check_share()


def test_dictionaries_of_numbers(fairseq: Fairseq, tmp_path: Path) -> None:
    judge = Judge(fairseq, tmp_path, "gpt2", BPE, bpe_dir=BPE)

    @PATIENT
    @given(files(entries(GPT2)[:40], ODD_LINES))
    def hold(content: str) -> None:
        judge.judge(content, TEXTS)

    hold()
    judge.check_share()


LINES = ["the dog and the license of the dog", "copies of the license", "a dog does not mind the other dogs"] * 9


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_dictionaries_of_pieces(algorithm: str, fairseq: Fairseq, tmp_path: Path) -> None:
    options = {
        "model_type": algorithm, "vocab_size": 60, "hard_vocab_limit": False, "normalization_rule_name": "identity",
    }  # fmt: skip
    pieces = fairseq("train", lines=LINES, model=str(tmp_path / "m"), options=options)
    model = tmp_path / "m.model"
    judge = Judge(fairseq, tmp_path, "sentencepiece", model, sentencepiece=model)

    @PATIENT
    @given(files([f"{piece} 1" for piece in pieces[3:]], ODD_LINES))
    def hold(content: str) -> None:
        judge.judge(content, TEXTS)

    hold()
    judge.check_share()


@st.composite
def merges_files(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """vocab.bpe and encoder.json of a language of three letters: merges in the order of training or another one."""
    known = ["a", "b", "c", "Ġ"]
    pairs: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(1, 9))):
        pair = (draw(st.sampled_from(known)), draw(st.sampled_from(known)))
        pairs.append(pair)
        known.append("".join(pair))
    if draw(st.integers(0, 3)) == 0:
        pairs = draw(st.permutations(pairs))
    lines = [" ".join(pair) for pair in pairs]
    if draw(st.integers(0, 2)):
        lines.insert(
            0, draw(st.sampled_from(["#version: 0.2", "#version: 0.2 - Trained by `huggingface/tokenizers`", "", "x"]))
        )
    odd = st.sampled_from(
        ["", " ", "a", "a b c", "a  b", "a\tb", " a b", "a\u00a0b", "a b ", "z q", "#version: 0.2", "\ufeffa b"]
    )
    for line in draw(st.lists(odd, max_size=1)):
        lines.insert(draw(st.integers(0, len(lines))), line)
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"]))
    text = end.join(lines) + draw(st.sampled_from([end, end, end, "", end + end]))
    tokens = list(dict.fromkeys([*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *known]))
    if draw(st.booleans()):
        tokens += draw(
            st.lists(st.sampled_from(["", "\ud800", "zz", "龘", " ", "<|endoftext|>", "ab", "bc"]), unique=True)
        )
        tokens = list(dict.fromkeys(tokens))
    return text, {token: number for number, token in enumerate(draw(st.sampled_from([tokens, tokens[::-1]])))}


ALL_SHORT = ["".join(letters) for letters in itertools.product("abc", repeat=4)]


def test_merges_files(fairseq: Fairseq, tmp_path: Path) -> None:
    judge = Judge(fairseq, tmp_path, "gpt2", tmp_path, bpe_dir=tmp_path)
    texts = st.lists(st.text("abc ", min_size=1, max_size=14), min_size=3, max_size=8)

    @PATIENT
    @given(merges_files(), texts, st.integers(2, 5))
    def hold(files: tuple[str, dict[str, int]], drawn: list[str], gap: int) -> None:
        merges, ids = files
        (tmp_path / "vocab.bpe").write_bytes(merges.encode())
        (tmp_path / "encoder.json").write_text(json.dumps(ids), encoding="utf-8")
        judge.judge("".join(f"{number} 1\n" for number in ids.values() if number % gap), [*drawn, *ALL_SHORT])

    hold()
    judge.check_share()
