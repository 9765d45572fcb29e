"""Dictionaries and BPE files that people met, and others of their kinds: fairseq's ids, or a refusal in a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import BPE, FIXTURES
from helpers.tokenizer_cases import GPT2, KINDS, MODELS, PIECES_BPE, UNIGRAM, WORDS, encode, planned
from prenorm import convert
from prenorm.errors import UsageProblem
from prenorm.tokenization.bytelevel import read_bpe

Fairseq = Callable[..., Any]
FIELD = FIXTURES / "field"
OVERWRITTEN, FOREIGN, EMPTY, TRAINED = (
    FIELD / name
    for name in ("01-overwritten-specials", "03-bpe-dir-foreign-dictionary", "04-empty-token", "06-hf-trained-bpe")
)
PIECES = MODELS[UNIGRAM]


def lines_of(folder: Path) -> list[str]:
    return (folder / "dict.txt").read_text(encoding="utf-8").splitlines()


def written(lines: list[str], folder: Path) -> Path:
    path = folder / "dict.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("overwritten", [("<s>",), ("<pad>",), ("<unk>", "</s>"), ("<unk>", "<s>", "</s>", "<pad>")])
def test_overwritten_special_tokens_are_refused_by_their_lines(
    kind: str, overwritten: tuple[str, ...], tmp_path: Path
) -> None:
    folder, options, _, _ = KINDS[kind]
    lines = [*(f"{name} 9 #fairseq:overwrite" for name in overwritten), *lines_of(folder)]
    with pytest.raises(UsageProblem) as refusal:
        planned(written(lines, tmp_path), **options)
    for number, name in enumerate(overwritten, 1):
        assert f"line {number} of the dictionary overwrites {name}" in str(refusal.value)


@pytest.mark.slow
def test_the_model_of_an_overwriting_dictionary_is_converted_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(
        UsageProblem, match=r"overwrites <unk> and line 2 .* overwrites <s> and line 3 .* overwrites </s>"
    ):
        convert(OVERWRITTEN / "checkpoint.pt", tmp_path / "out", sentencepiece=PIECES)
    assert not (tmp_path / "out").exists()
    assert convert(OVERWRITTEN / "checkpoint.pt", tmp_path / "out").report.passed
    assert not (tmp_path / "out" / "tokenizer.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_overwritten_mask_is_the_last_one(kind: str, fairseq: Fairseq, tmp_path: Path) -> None:
    """fairseq's tasks take the row that the name is looked up as, in training and afterwards."""
    folder, options, name, source = KINDS[kind]
    lines = ["<mask> 9", *lines_of(folder), "<mask> 9 #fairseq:overwrite", "madeupword0007 0"]
    path = written(lines, tmp_path)
    symbols = fairseq("load", name="mask", kind=name, dictionary=str(path), source=source and str(source))
    tokenization = planned(path, **options)
    assert symbols == list(tokenization.dictionary.symbols)
    row = len(symbols) - 2
    assert encode(tokenization, ["<mask>"]) == [[0, row, 2]]
    texts = ["the license", "dog"]
    assert encode(tokenization, texts) == fairseq("encode", name="mask", texts=texts)


@pytest.mark.parametrize(
    ("dictionary", "options", "reason"),
    [
        (FOREIGN, {"bpe_dir": BPE}, "holds sentencepiece's pieces"),
        (PIECES_BPE, {"bpe_dir": BPE}, "holds sentencepiece's pieces"),
        (WORDS, {"bpe_dir": BPE}, "holds words"),
        (TRAINED, {"sentencepiece": PIECES}, "holds numbers"),
        (GPT2, {"sentencepiece": MODELS[PIECES_BPE]}, "holds numbers"),
        (WORDS, {"sentencepiece": PIECES}, "belongs to another tokenizer"),
        (GPT2, {"words": True}, "holds numbers"),
        (UNIGRAM, {"words": True}, "holds sentencepiece's pieces"),
    ],
)
def test_an_option_that_contradicts_the_dictionary_is_refused(
    dictionary: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageProblem, match=reason):
        planned(dictionary / "dict.txt", **options)


@pytest.mark.parametrize(
    ("lines", "options", "reason"),
    [
        ([f"{number} 1" for number in range(0, 50_000, 7)], {"bpe_dir": BPE}, "only .* of its 7143 numbers"),
        ([f"{number} 1" for number in range(700, 800)], {"bpe_dir": BPE}, "none of the numbers"),
        (["Ġthe 9", "ing 8", "Ġa 3", "12 1"], {"bpe_dir": BPE}, "pieces of a byte-level BPE"),
        (
            ["▁the 1", "▁of 1", *(f"▁zz{n} 1" for n in range(9))],
            {"sentencepiece": PIECES},
            "belongs to another tokenizer",
        ),
        ([f"word{n} 1" for n in range(40)] + ["a 1", "b 1"], {"sentencepiece": PIECES}, "belongs to another tokenizer"),
    ],
)
def test_other_foreign_dictionaries_are_refused(
    lines: list[str], options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageProblem, match=reason):
        planned(written(lines, tmp_path), **options)


def test_convert_says_which_tokenizer_a_foreign_dictionary_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"Give the sentencepiece model with sentencepiece=\.\.\."):
        convert(FOREIGN / "checkpoint.pt", tmp_path / "out", bpe_dir=BPE)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_empty_token_has_a_row_that_no_text_reaches(fairseq: Fairseq, tmp_path: Path) -> None:
    result = convert(EMPTY / "checkpoint.pt", tmp_path / "out", sentencepiece=PIECES)
    assert result.report.passed
    path = EMPTY / "dict.txt"
    symbols = fairseq("load", name="empty", kind="sentencepiece", dictionary=str(path), source=str(PIECES))
    row = symbols.index("")
    texts = ["the license of the dog", "", " ", "▁ a  b"]
    ids = encode(planned(path, sentencepiece=PIECES), texts)
    assert ids == fairseq("encode", name="empty", texts=texts)
    assert all(row not in line for line in ids)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt2", "bpe", "words"])
@pytest.mark.parametrize("odd", [" 5", "b c 5", "the\u00a0dog 5", "  5", "\ufeffthe 5", "a\tb 5"])
def test_odd_lines_are_rows_as_in_fairseq(kind: str, odd: str, fairseq: Fairseq, tmp_path: Path) -> None:
    folder, options, name, source = KINDS[kind]
    path = written([*lines_of(folder)[:150], odd], tmp_path)
    symbols = fairseq("load", name="odd", kind=name, dictionary=str(path), source=source and str(source))
    tokenization = planned(path, **options)
    assert list(tokenization.dictionary.symbols) == symbols
    texts = ["the license", "b c", "the\u00a0dog", "a\tb", "\ufeffthe", " "]
    assert encode(tokenization, texts) == fairseq("encode", name="odd", texts=texts)


@pytest.mark.slow
def test_a_line_that_the_model_has_no_piece_for_is_never_emitted(fairseq: Fairseq, tmp_path: Path) -> None:
    """A unigram model would take it out of a text, whatever its score: it is longer than the pieces that it is made of."""
    path = written([*lines_of(UNIGRAM), "licens 5", "▁do 5", "hedo 5"], tmp_path)
    fairseq("load", name="lacking", kind="sentencepiece", dictionary=str(path), source=str(PIECES))
    texts = ["the license", "the dog", "licensed", "hedo"]
    assert encode(planned(path, sentencepiece=PIECES), texts) == fairseq("encode", name="lacking", texts=texts)


@pytest.mark.parametrize("line", ["5", "", "a", "a x", "a \u00b2", "a --5", "a 1.5", "a  #fairseq:overwrite"])
def test_lines_that_fairseq_refuses_are_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="line 2 of the dictionary"):
        planned(written(["the 1", line, "of 1"], tmp_path), words=True)


def bpe_folder(folder: Path, change: Callable[[str], str]) -> Path:
    """GPT-2's files of the fixtures, with another merges file."""
    made = folder / "bpe"
    made.mkdir()
    shutil.copy(BPE / "encoder.json", made)
    text = (BPE / "vocab.bpe").read_text(encoding="utf-8")
    (made / "vocab.bpe").write_bytes(change(text).encode())
    return made


CHANGES: dict[str, Callable[[str], str]] = {
    "no header": lambda text: text.partition("\n")[2],
    "no last newline": lambda text: text.rstrip("\n"),
    "neither": lambda text: text.partition("\n")[2].rstrip("\n"),
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "carriage returns, no header": lambda text: text.partition("\n")[2].replace("\n", "\r\n"),
    "another header": lambda text: "anything" + text[text.index("\n") :],
    "blank lines": lambda text: text.replace("\n", "\n\n", 3) + "\n\n",
    "two spaces": lambda text: text.replace(" ", "  "),
    "a merge twice": lambda text: text + text.splitlines()[-1] + "\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_merges_are_those_that_fairseq_uses(change: str, fairseq: Fairseq, tmp_path: Path) -> None:
    folder = bpe_folder(tmp_path, CHANGES[change])
    path = GPT2 / "dict.txt"
    fairseq("load", name="merges", kind="gpt2", dictionary=str(path), source=str(folder))
    pieces = [
        line.replace(" ", "").replace("Ġ", " ") for line in (BPE / "vocab.bpe").read_text("utf-8").splitlines()[1:]
    ]
    texts = [*pieces, " ".join(pieces), "the dog means publishing"]
    assert encode(planned(path, bpe_dir=folder), texts) == fairseq("encode", name="merges", texts=texts)
    dropped = ("header" in change and "another" not in change) or change in ("neither", "no last newline")
    assert (len(read_bpe(folder).merges) < len(read_bpe(BPE).merges)) == dropped


def test_merges_out_of_order_are_refused(tmp_path: Path) -> None:
    """fairseq merges "a b" twice in "abab", before it looks for "ab a"; `tokenizers` would make "aba" of the first."""
    ids = {token: number for number, token in enumerate(["a", "b", "ab", "aba"])}
    (tmp_path / "encoder.json").write_text(json.dumps(ids))
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\nab a\na b\n")
    with pytest.raises(UsageProblem, match="line 3 makes 'ab', which line 2 uses before"):
        read_bpe(tmp_path)


def test_of_a_merge_that_comes_twice_the_later_line_counts(tmp_path: Path) -> None:
    """fairseq's table of ranks is a dict: "abc" becomes "a bc"."""
    ids = {token: number for number, token in enumerate(["a", "b", "c", "ab", "bc"])}
    (tmp_path / "encoder.json").write_text(json.dumps(ids))
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\na b\nb c\na b\n")
    assert read_bpe(tmp_path).merges == (("b", "c"), ("a", "b"))


@pytest.mark.slow
def test_special_tokens_in_encoder_json_are_never_emitted(fairseq: Fairseq, tmp_path: Path) -> None:
    bpe = TRAINED / "bpe"
    assert convert(TRAINED / "checkpoint.pt", tmp_path / "out", bpe_dir=bpe).report.passed
    path = TRAINED / "dict.txt"
    fairseq("load", name="trained", kind="gpt2", dictionary=str(path), source=str(bpe))
    texts = ["the dog", " the license", "é 🙂 \n", "0 1 2 3 4"]
    assert encode(planned(path, bpe_dir=bpe), texts) == fairseq("encode", name="trained", texts=texts)


@pytest.mark.slow
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    "names", [["<mask>"], ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>", "\ud800", ""]]
)
def test_other_encoders_with_special_tokens(listed: bool, names: list[str], fairseq: Fairseq, tmp_path: Path) -> None:
    """Whether the dictionary lists their numbers or not."""
    folder = bpe_folder(tmp_path, lambda text: text)
    ids = json.loads((BPE / "encoder.json").read_text("utf-8"))
    extra = {name: len(ids) + at for at, name in enumerate(names)}
    (folder / "encoder.json").write_text(json.dumps({**ids, **extra}))
    path = written([*lines_of(GPT2), *(f"{number} 0" for number in extra.values() if listed)], tmp_path)
    fairseq("load", name="extra", kind="gpt2", dictionary=str(path), source=str(folder))
    texts = ["the dog", " the license", "<|endoftext|>", "<s", "mask>"]
    assert encode(planned(path, bpe_dir=folder), texts) == fairseq("encode", name="extra", texts=texts)


def test_a_merge_that_makes_a_special_token_is_refused(tmp_path: Path) -> None:
    folder = bpe_folder(tmp_path, lambda text: text + "< s\n<s >\n")
    ids = json.loads((BPE / "encoder.json").read_text("utf-8"))
    (folder / "encoder.json").write_text(json.dumps({**ids, "<s": len(ids), "<s>": len(ids) + 1}))
    with pytest.raises(UsageProblem, match="a merge makes a BPE token with the name of the special token '<s>'"):
        planned(GPT2 / "dict.txt", bpe_dir=folder)
