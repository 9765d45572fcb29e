"""`verify` judges the tokenizer without being told its kind, or says that it did not; `--strict` makes that a failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tokenizers import Tokenizer

from helpers.commands import run_main
from helpers.judged_table import SOURCE, swap_rows
from helpers.paths import BPE
from helpers.tokenizer_cases import KINDS, PIECES_BPE, UNIGRAM, WORDS
from prenorm import convert, record, verify
from prenorm.proof.references.golden import Golden, read_golden, write_golden
from prenorm.reports import read, render
from prenorm.reports.model import Report
from prenorm.reports.text import Outcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of each kind of tokenizer, made once."""
    base = tmp_path_factory.mktemp("kinds")

    def folder(kind: str) -> Path:
        if not (base / kind).exists():
            convert(KINDS[kind][0] / "checkpoint.pt", base / kind, **KINDS[kind][1])
        return base / kind

    return folder


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("gpt2", "passed"),
        ("words", "passed"),
        ("unigram", "passed, sentencepiece model not judged"),
        ("bpe", "passed, sentencepiece model not judged"),
    ],
)
def test_the_dictionary_judges_every_kind(
    kind: str, verdict: str, sound: Callable[[str], Path], tmp_path: Path
) -> None:
    source = tmp_path / "checkpoint.pt"
    for name in (source.name, "dict.txt"):  # without the tokenizer's files, which would be found
        shutil.copy(KINDS[kind][0] / name, tmp_path)
    report = verify(source, sound(kind))
    assert (report.passed, report.verdict, report.words) == (True, verdict, verdict)
    assert report.check("tokenizer ids").passed
    lines = (KINDS[kind][0] / "dict.txt").read_text(encoding="utf-8").splitlines()
    lines[8], lines[21] = lines[21], lines[8]
    (tmp_path / "swapped.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert failed(verify(source, sound(kind), dictionary=tmp_path / "swapped.txt")) == ["tokenizer ids"]
    folder = Path(shutil.copytree(sound(kind), tmp_path / "folder"))
    (folder / "tokenizer.json").write_text('{"not": "a tokenizer"}')
    assert failed(verify(source, folder)) == ["tokenizer ids"]


@pytest.mark.parametrize(("kind", "other"), [("gpt2", WORDS), ("unigram", WORDS), ("words", UNIGRAM), ("bpe", UNIGRAM)])
def test_the_tokenizer_of_another_dictionary_fails(
    kind: str, other: Path, sound: Callable[[str], Path], tmp_path: Path
) -> None:
    name = {WORDS: "words", UNIGRAM: "unigram", PIECES_BPE: "bpe"}[other]
    folder = Path(shutil.copytree(sound(kind), tmp_path / "folder"))
    shutil.copy(sound(name) / "tokenizer.json", folder)
    report = verify(KINDS[kind][0] / "checkpoint.pt", folder)
    assert failed(report) == ["tokenizer ids"], report.not_judged


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_numbers_that_another_trainer_gave_are_derived(offset: int, tmp_path: Path) -> None:
    """Hugging Face's trainer numbers some special tokens first; the merges say the rest."""
    bpe = tmp_path / "bpe"
    bpe.mkdir()
    numbers = json.loads((BPE / "encoder.json").read_text(encoding="utf-8"))
    moved = {token: number + offset for token, number in numbers.items()}
    (bpe / "encoder.json").write_text(json.dumps(moved), encoding="utf-8")
    shutil.copy(BPE / "vocab.bpe", bpe)
    shutil.copy(SOURCE, tmp_path)
    lines = (SOURCE.parent / "dict.txt").read_text(encoding="utf-8").split("\n")
    words = [line.split(" ") for line in lines if line]
    text = "".join(f"{int(token) + offset if token.isdigit() else token} {count}\n" for token, count in words)
    (tmp_path / "dict.txt").write_text(text, encoding="utf-8")
    folder = convert(tmp_path / "checkpoint.pt", tmp_path / "out", bpe_dir=bpe).output
    report = verify(tmp_path / "checkpoint.pt", folder)
    assert report.passed and report.check("tokenizer ids").passed, report.not_judged
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    swap_rows(content)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert failed(verify(tmp_path / "checkpoint.pt", folder)) == ["tokenizer ids"]


def test_without_a_dictionary_every_form_says_so_and_strict_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(shutil.copy(SOURCE, tmp_path))  # without its dict.txt
    folder = convert(SOURCE, tmp_path / "out", bpe_dir=BPE).output
    forms = {suffix: tmp_path / f"report{suffix}" for suffix in (".json", ".md", ".html", ".xml")}
    arguments = [part for path in forms.values() for part in ("--report", path)]
    assert run_main(monkeypatch, "verify", source, folder, *arguments) == 0
    shown = capsys.readouterr().out
    assert "Verdict: passed, tokenizer not judged" in shown
    assert "give fairseq's dict.txt with --dict" in " ".join(shown.split())
    content = json.loads(forms[".json"].read_text(encoding="utf-8"))
    assert (content["passed"], content["verdict"]) == (True, "passed, tokenizer not judged")
    assert content["not_judged"][0].startswith("tokenizer: there is no dictionary")
    assert next(item for item in content["checks"] if item["name"] == "tokenizer")["outcome"] == "not judged"
    assert "⚠️ Parity passed, tokenizer not judged" in forms[".md"].read_text(encoding="utf-8")
    assert "PASSED, tokenizer not judged" in forms[".html"].read_text(encoding="utf-8")
    cases = {case.get("name"): case for case in ElementTree.parse(forms[".xml"]).getroot().iter("testcase")}
    assert cases["tokenizer"].find("skipped") is not None
    assert cases["tokenizer ids" if "tokenizer ids" in cases else "logits"].find("skipped") is None
    again = read(content)
    assert (again.outcome, again.words, again.contradictions) == (Outcome.PASSED, "passed, tokenizer not judged", [])
    assert render(again, ".json") == forms[".json"].read_text(encoding="utf-8")
    assert run_main(monkeypatch, "verify", source, folder, "--strict", "--quiet") == 1
    assert run_main(monkeypatch, "verify", SOURCE, folder, "--strict", "--quiet") == 0


def test_golden_files_judge_the_tokenizer_and_old_ones_say_that_they_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = convert(SOURCE, tmp_path / "out", bpe_dir=BPE).output
    record(SOURCE, tmp_path / "golden.npz", bpe_dir=BPE)
    assert verify(folder, golden=tmp_path / "golden.npz").verdict == "passed"
    recorded = read_golden(tmp_path / "golden.npz")
    facts = {name: value for name, value in recorded.facts.items() if name != "tokenizer"}
    write_golden(tmp_path / "old.npz", Golden(facts, recorded.arrays))
    report = verify(folder, golden=tmp_path / "old.npz")
    assert (report.passed, report.verdict) == (True, "passed, tokenizer not judged")
    assert run_main(monkeypatch, "verify", folder, "--golden", tmp_path / "old.npz", "--strict", "--quiet") == 1
    assert run_main(monkeypatch, "verify", folder, "--golden", tmp_path / "golden.npz", "--strict", "--quiet") == 0
    (folder / "tokenizer.json").write_text('{"not": "a tokenizer"}')
    assert failed(verify(folder, golden=tmp_path / "old.npz")) == ["tokenizer ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_tokenizer_is_that_of_its_folder(kind: str, sound: Callable[[str], Path], tmp_path: Path) -> None:
    record(KINDS[kind][0] / "checkpoint.pt", tmp_path / "golden.npz", **KINDS[kind][1])
    assert verify(sound(kind), golden=tmp_path / "golden.npz").verdict == "passed"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ["pads texts", "cuts texts"])
def test_what_a_tokenizer_keeps_of_its_last_use_is_named(
    use: str, kind: str, sound: Callable[[str], Path], tmp_path: Path
) -> None:
    """Saved after a call with `padding` or `truncation`, tokenizer.json has both; nothing else of it is another."""
    source, options = KINDS[kind][0] / "checkpoint.pt", KINDS[kind][1]
    folder = Path(shutil.copytree(sound(kind), tmp_path / "folder"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if use == "pads texts":
        tokenizer.enable_padding(length=8, pad_id=1, pad_token="<pad>")
    else:
        tokenizer.enable_truncation(8)
    tokenizer.save(str(folder / "tokenizer.json"))
    record(source, tmp_path / "golden.npz", **options)
    for report in (verify(source, folder), verify(folder, golden=tmp_path / "golden.npz")):
        (sentence,) = report.disagreements
        assert sentence.startswith(f"tokenizer: tokenizer.json {use}, which fairseq does not: ")


def test_convert_without_a_tokenizer_says_so_on_the_card(tmp_path: Path) -> None:
    result = convert(SOURCE, tmp_path / "out")
    assert result.report.words == "passed, tokenizer not judged"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Verdict: **passed, tokenizer not judged**" in card
    assert "Not judged: tokenizer: the folder has no tokenizer.json" in card


def test_the_report_names_edited_files(tmp_path: Path) -> None:
    folder = convert(SOURCE, tmp_path / "out", bpe_dir=BPE).output
    (folder / "README.md").write_text("# Mine\n")
    others = verify(SOURCE, folder).check("other files")
    assert "other than parity_report.json lists: README.md" in str(others.detail)
