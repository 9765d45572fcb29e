"""The files of a tokenizer that nobody named: which are found, which fit, and what is said of the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers.paths import BPE, FIXTURES
from helpers.tokenizer_cases import GPT2, MODELS, PIECES_BPE, UNIGRAM, WORDS
from prenorm.errors import UsageProblem
from prenorm.tokenization import TokenizationKind, gpt2, plan_tokenization
from prenorm.tokenization.dictionary import Dictionary, read_dictionary
from prenorm.tokenization.nearby import NearbyTokenizer, Place, find_tokenizer, is_tokenizer_file, lacking

HF_NAMES = {"encoder.json": "vocab.json", "vocab.bpe": "merges.txt"}
TRAINED = FIXTURES / "field" / "06-hf-trained-bpe"


def search(source: Path, *folders: Path) -> tuple[NearbyTokenizer | None, tuple[str, ...]]:
    places = tuple(Place(folder, f"in {folder.name}") for folder in folders)
    return find_tokenizer(read_dictionary(source / "dict.txt"), places)


@pytest.mark.parametrize("name", ["sentencepiece.bpe.model", "spm.model", "of our own.model"])
@pytest.mark.parametrize("source", [UNIGRAM, PIECES_BPE], ids=lambda path: path.name)
def test_a_sentencepiece_model_by_any_name(source: Path, name: str, tmp_path: Path) -> None:
    shutil.copy(MODELS[source], tmp_path / name)
    found, unfit = search(source, tmp_path)
    assert found is not None and unfit == ()
    assert found.tokenization.kind is TokenizationKind.SENTENCEPIECE
    assert found.option == {"sentencepiece": tmp_path / name} and found.files == f"{name} in {tmp_path.name}"


@pytest.mark.parametrize("names", [{}, HF_NAMES], ids=["fairseq's names", "Hugging Face's names"])
@pytest.mark.parametrize("below", ["", "gpt2_bpe"])
def test_the_files_of_a_byte_level_bpe(names: dict[str, str], below: str, tmp_path: Path) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    for file in BPE.iterdir():
        shutil.copy(file, tmp_path / below / names.get(file.name, file.name))
    found, unfit = search(GPT2, tmp_path)
    assert found is not None and unfit == ()
    dictionary = read_dictionary(GPT2 / "dict.txt")
    ours = plan_tokenization(dictionary, BPE, None, False)
    named = plan_tokenization(dictionary, tmp_path / below, None, False)
    assert ours is not None and named is not None
    assert found.tokenization.vocabulary == ours.vocabulary == named.vocabulary
    assert found.option == {"bpe_dir": tmp_path / below if below else Path()}  # a name that nobody typed is not shown
    assert all(names.get(file.name, file.name) in found.files for file in BPE.iterdir())
    assert (" in gpt2_bpe" in found.files) == bool(below)


def test_numbers_that_a_training_with_hugging_face_gave(tmp_path: Path) -> None:
    """Its special tokens come first, so a token's number is its merge's place and an offset."""
    for file in (TRAINED / "bpe").iterdir():
        shutil.copy(file, tmp_path / HF_NAMES[file.name])
    found, unfit = search(TRAINED, tmp_path)
    assert found is not None and unfit == ()


def test_the_rows_of_a_model_are_no_numbers_of_a_bpe(tmp_path: Path) -> None:
    """vocab.json of a RoBERTa folder has the same tokens under the numbers of the dictionary's rows."""
    ids = json.loads((BPE / "encoder.json").read_text())
    rows = {symbol: row for row, symbol in enumerate(read_dictionary(GPT2 / "dict.txt").symbols)}
    of_model = {token: rows.get(str(number), len(rows) + number) for token, number in ids.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(of_model))
    shutil.copy(BPE / "vocab.bpe", tmp_path / "merges.txt")
    found, unfit = search(GPT2, tmp_path)
    assert found is None and len(unfit) == 1 and "the rows of a model" in unfit[0]
    with pytest.raises(UsageProblem, match="the rows of a model"):
        plan_tokenization(read_dictionary(GPT2 / "dict.txt"), tmp_path, None, False)


def test_a_file_that_does_not_fit_is_said_and_not_used(tmp_path: Path) -> None:
    shutil.copy(MODELS[PIECES_BPE], tmp_path / "other.model")
    (tmp_path / "broken.model").write_bytes(b"\xff" * 50)
    found, unfit = search(UNIGRAM, tmp_path)
    assert found is None and len(unfit) == 2
    assert f"broken.model in {tmp_path.name} is not used: " in unfit[0] and "no sentencepiece model" in unfit[0]
    assert "other.model" in unfit[1] and "tokens" in unfit[1]
    shutil.copy(MODELS[UNIGRAM], tmp_path / "right.model")
    found, unfit = search(UNIGRAM, tmp_path)
    assert found is not None and "right.model" in found.files and len(unfit) == 2


def test_a_named_file_may_fit_less_closely_than_one_that_nobody_named(tmp_path: Path) -> None:
    lines = (UNIGRAM / "dict.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "dict.txt").write_text("\n".join([*lines, *(f"▁{n}of@another 1" for n in range(20)), ""]))
    shutil.copy(MODELS[UNIGRAM], tmp_path)
    found, unfit = search(tmp_path, tmp_path)
    assert found is None and "it can have made only" in unfit[0]
    assert plan_tokenization(read_dictionary(tmp_path / "dict.txt"), None, MODELS[UNIGRAM], False) is not None


def test_of_two_places_the_first_counts_and_in_one_place_two_must_be_copies(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        shutil.copy(MODELS[UNIGRAM], folder / "a.model")
    found, _ = search(UNIGRAM, first, second)
    assert found is not None and found.option == {"sentencepiece": first / "a.model"}
    shutil.copy(MODELS[UNIGRAM], first / "b.model")
    assert search(UNIGRAM, first)[0] is not None
    changed = bytearray(MODELS[UNIGRAM].read_bytes())
    changed[-1:] = b"\x01\x4a\x00" if changed[-1] == 1 else changed[-1:] + b"\x4a\x00"  # a field that decides nothing
    (first / "c.model").write_bytes(bytes(changed))
    with pytest.raises(UsageProblem, match=r"a\.model in first and c\.model in first both fit .*sentencepiece=\.\.\."):
        search(UNIGRAM, first)


def test_nothing_is_looked_for_where_no_file_could_help(tmp_path: Path) -> None:
    shutil.copy(MODELS[UNIGRAM], tmp_path)
    for file in BPE.iterdir():
        shutil.copy(file, tmp_path)
    found, unfit = search(WORDS, tmp_path)
    assert found is None and len(unfit) == 1  # pieces without spaces look like words, so the model is tried
    assert search(UNIGRAM, tmp_path / "missing") == (None, ())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (GPT2, 'bpe_dir="gpt2"'), (UNIGRAM, "sentencepiece.bpe.model"), (WORDS, "words=True"),
        (FIXTURES / "field" / "01-overwritten-specials", "overwrites"),
    ],
    ids=["numbers", "pieces", "words", "overwritten"],
)  # fmt: skip
def test_what_is_lacking_is_said_with_the_command(source: Path, words: str) -> None:
    assert words in lacking(read_dictionary(source / "dict.txt"))


def test_kinds_without_a_tokenizer_say_so() -> None:
    pieces = Dictionary(Path("dict.txt"), ("<s>", "<pad>", "</s>", "<unk>", "the", "##re", "##s", "<mask>"))
    assert "BERT's word pieces, of which no tokenizer" in lacking(pieces)
    filled = Dictionary(Path("dict.txt"), ("<s>", "<pad>", "</s>", "<unk>", "madeupword0000", "<mask>"))
    assert "do not say what they are" in lacking(filled)


def test_names_that_come_along_from_a_repo() -> None:
    assert all(map(is_tokenizer_file, ("spm.model", "encoder.json", "vocab.bpe", "vocab.json", "merges.txt")))
    assert not any(map(is_tokenizer_file, ("model.pt", "config.json", "model")))


def test_the_published_dictionary_is_known_by_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other dictionaries hold the same numbers in another order, and so may those of another BPE."""
    import hashlib

    numbers = ("13", "262", "11")
    monkeypatch.setattr(gpt2, "DICTIONARY_SHA256", hashlib.sha256(b"13\n262\n11").hexdigest())
    special = ("<s>", "<pad>", "</s>", "<unk>")

    def known(*lines: str) -> bool:
        return gpt2.is_published_dictionary(Dictionary(Path("dict.txt"), (*special, *lines, "<mask>")))

    assert known(*numbers) and known(*numbers, "madeupword0000") and known("[CODE]", *numbers)
    assert not known("262", "13", "11") and not known(*numbers[:2]) and not known(*numbers, "284")
