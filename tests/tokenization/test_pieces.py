"""What the dictionary's pieces alone tell of a sentencepiece folder's tokenizer, and what they cannot."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from helpers.commands import run_main
from helpers.tokenizer_cases import KINDS, PIECES_BPE, UNIGRAM, planned
from prenorm import NotJudged, convert, record, verify
from prenorm.tokenization.dictionary import read_dictionary
from prenorm.tokenization.pieces import piece_problems

Content = dict[str, Any]
Change = Callable[[Content], object]


def content_of(kind: str) -> Content:
    folder, options, _, _ = KINDS[kind]
    content: Content = json.loads(planned(folder / "dict.txt", **options).build().to_str())
    return content


def rescored(change: Callable[[list[float]], list[float]]) -> Change:
    def apply(content: Content) -> None:
        vocabulary = content["model"]["vocab"]
        scores = change([score for _, score in vocabulary])
        content["model"]["vocab"] = [[token, score] for (token, _), score in zip(vocabulary, scores, strict=True)]

    return apply


def remerged(change: Callable[[list[list[str]]], list[list[str]]]) -> Change:
    return lambda content: content["model"].update(merges=change(content["model"]["merges"]))


def first_normalized(step: Content) -> Change:
    return lambda content: content["normalizer"]["normalizers"].insert(0, step)


def shuffled(values: list[Any]) -> list[Any]:
    return random.Random(0).sample(values, len(values))


LOWER, NO_SPACE = {"type": "Lowercase"}, {"type": "Replace", "pattern": {"String": "e"}, "content": "a"}
FAULTS: dict[str, tuple[str, Change, str]] = {
    "scores negated": ("unigram", rescored(lambda scores: [-score for score in scores]), "its model takes "),
    "scores turned round": ("unigram", rescored(lambda scores: [*scores[:4], *scores[:3:-1]]), "its model takes "),
    "merges turned round": ("bpe", remerged(lambda merges: merges[::-1]), "its model takes "),
    "merges in another order": ("bpe", remerged(shuffled), "its model takes "),
    "no merges": ("bpe", remerged(lambda merges: []), "its model takes "),
    "the last 40 merges cut": ("bpe", remerged(lambda merges: merges[:-40]), "its merges lack "),
    "one merge cut": ("bpe", remerged(lambda merges: [*merges[:20], *merges[21:]]), "its merges lack 1 pairs"),
    "lower case": ("bpe", first_normalized(LOWER), "its normalization changes "),
    "letters replaced": ("unigram", first_normalized(NO_SPACE), "its normalization changes "),
    "no ▁ for a space": ("unigram", lambda content: content.update(pre_tokenizer=None, normalizer=None), "no text becomes "),
    "▁ stays when decoded": ("bpe", lambda content: content.update(decoder=None), "pieces read as another text"),
    "another unknown": ("unigram", lambda content: content["model"].update(unk_id=7), "for the unknown, where fairseq has"),
    "no unknown": ("bpe", lambda content: content["model"].update(unk_token=None), "its model has nothing for the unknown"),
    "each unknown character": ("bpe", lambda content: content["model"].update(fuse_unk=False), "joins those that stand"),
}  # fmt: skip
# Those are the model's alone to tell.
UNTOLD: dict[str, tuple[str, Change]] = {
    "scores of others": ("unigram", rescored(shuffled)),  # of larger vocabularies 1 to 3 % are taken apart then
    "scores all alike": ("unigram", rescored(lambda scores: [-1.0] * len(scores))),
    "one score changed a little": ("unigram", rescored(lambda scores: [*scores[:-1], scores[-1] - 0.01])),
    "two merges swapped": ("bpe", remerged(lambda merges: [merges[1], merges[0], *merges[2:]])),
    "no full width folded": ("unigram", lambda content: content["normalizer"]["normalizers"].pop(0)),
}


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_nothing_is_said_against_a_sound_one(kind: str) -> None:
    dictionary = read_dictionary(KINDS[kind][0] / "dict.txt")
    assert piece_problems(dictionary, Tokenizer.from_str(json.dumps(content_of(kind)))) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_contradicts_the_pieces(name: str) -> None:
    kind, change, words = FAULTS[name]
    content = content_of(kind)
    change(content)
    problems = piece_problems(read_dictionary(KINDS[kind][0] / "dict.txt"), Tokenizer.from_str(json.dumps(content)))
    assert any(words in problem for problem in problems), problems


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("pieces")
    return {
        kind: convert(KINDS[kind][0] / "checkpoint.pt", base / kind, **KINDS[kind][1]).output
        for kind in ("unigram", "bpe")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_verify_without_the_model_fails(name: str, sound: dict[str, Path], tmp_path: Path) -> None:
    kind, change, words = FAULTS[name]
    folder = Path(shutil.copytree(sound[kind], tmp_path / "folder"))
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    report = verify(KINDS[kind][0] / "checkpoint.pt", folder, no_tokenizer=True)  # nor by the model beside it
    assert [check.name for check in report.checks if not check.passed] == ["tokenizer ids"]
    assert any(words in text for text in report.disagreements)


@pytest.mark.slow
@pytest.mark.parametrize("name", UNTOLD)
def test_what_only_the_model_tells_is_named_as_not_judged_and_the_model_judges_it(
    name: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    kind, change = UNTOLD[name]
    folder = Path(shutil.copytree(sound[kind], tmp_path / "folder"))
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    source, options = KINDS[kind][0] / "checkpoint.pt", KINDS[kind][1]
    report = verify(source, folder, no_tokenizer=True)
    assert report.verdict == "passed, sentencepiece model not judged"
    assert "give the sentencepiece model with --sentencepiece" in report.not_judged[0]
    record(source, tmp_path / "golden.npz", **options)
    for complete in (verify(source, folder, **options), verify(folder, golden=tmp_path / "golden.npz")):
        assert [check.name for check in complete.checks if not check.passed] == ["tokenizer ids"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_strict_wants_the_model_and_is_content_with_it(
    kind: str,
    sound: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, options = KINDS[kind][0] / "checkpoint.pt", KINDS[kind][1]
    with pytest.raises(NotJudged, match="give the sentencepiece model with --sentencepiece"):
        verify(source, sound[kind], strict=True, no_tokenizer=True)
    assert verify(source, sound[kind], strict=True, **options).verdict == "passed"
    record(source, tmp_path / "golden.npz", **options)
    assert verify(sound[kind], golden=tmp_path / "golden.npz", strict=True).verdict == "passed"
    assert run_main(monkeypatch, "verify", source, sound[kind], "--strict", "--quiet", "--no-tokenizer") == 1
    assert "--sentencepiece" in capsys.readouterr().err
    model = options["sentencepiece"]
    assert run_main(monkeypatch, "verify", source, sound[kind], "--strict", "--quiet", "--sentencepiece", model) == 0


def lines_without_spaces(folder: Path) -> list[str]:
    return [line for line in (folder / "dict.txt").read_text(encoding="utf-8").splitlines() if "▁" not in line]


@pytest.mark.parametrize("folder", [UNIGRAM, PIECES_BPE])
def test_pieces_of_a_script_without_spaces_need_the_model_too(folder: Path, tmp_path: Path) -> None:
    """They look like words."""
    from prenorm.tokenization import derive_tokenization, kind_of

    (tmp_path / "dict.txt").write_text("\n".join(lines_without_spaces(folder)) + "\n", encoding="utf-8")
    dictionary = read_dictionary(tmp_path / "dict.txt")
    assert str(kind_of(dictionary)) == "words"
    content = content_of("unigram" if folder == UNIGRAM else "bpe")
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (rest,) = derive_tokenization(dictionary, tmp_path / "tokenizer.json").rest
    assert "--sentencepiece" in rest.reason
