"""Nothing in a folder tells of the people and machines behind it, whatever the checkpoint and the paths hold."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from helpers.cards import card_of, commands, facts, headings, section
from helpers.checkpoints import load_trusted, save_edited
from helpers.commands import run_main
from helpers.paths import BPE, FIXTURES, MLM
from helpers.report_cases import synthetic
from prenorm import convert
from prenorm.folder.card.names import PublicNames, is_plain
from prenorm.reports import SUFFIXES, read
from prenorm_model.torch import embeddings

pytestmark = pytest.mark.slow

MARK = "xyzzy"
CLASSIFICATION = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"
SECRETS = (
    f"/home/{MARK}/data-bin/corpus",
    f"{MARK}@example.org",
    f"gpu17.{MARK}.example.org",
    f"hf_{MARK}AbCdEfGhIjKlMnOp0123456789",
    MARK,
    f"C:\\Users\\{MARK}\\data",
    f"tcp://{MARK}:12345",
    f"ssh-rsa AAAAB3 {MARK}",
)
HEADS = (f"hf_{MARK}AbCdEfGhIjKlMnOp0123456789", f"/home/{MARK}/rte", f"{MARK}@example.org", f"x y {MARK}", "é" + MARK)
# What the conversion itself depends on; all else becomes a secret.
DECISIVE = re.compile(
    r"encoder_.*|arch|_name|activation_fn|pooler_activation_fn|max_.*positions|.*dropout|num_classes|quant_noise.*"
)


class Planted:
    """Puts a secret in the place of every value, and one more into every container."""

    def __init__(self) -> None:
        self.count = 0

    def secret(self) -> str:
        self.count += 1
        return SECRETS[self.count % len(SECRETS)]

    def everywhere(self, value: Any, name: str = "") -> Any:
        if DECISIVE.fullmatch(name) or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            planted = {key: self.everywhere(item, str(key)) for key, item in value.items()}
            return {**planted, f"/home/{MARK}/key": self.secret()}
        if isinstance(value, list | tuple):
            return [self.everywhere(item) for item in value] + [self.secret()]
        if hasattr(value, "__dict__"):  # a Namespace
            for key, item in vars(value).items():
                setattr(value, key, self.everywhere(item, key))
            setattr(value, f"of_{MARK}", self.secret())
            return value
        return self.secret()

    def content(self, content: dict[str, Any]) -> None:
        for key in content:
            if key != "model":
                content[key] = self.everywhere(content[key], key)
        content["cfg"]["task"] |= dict.fromkeys(("mask_whole_words", "leave_unmasked_prob"), MARK)
        content["cfg"]["common"] |= dict.fromkeys(("fp16", "seed"), MARK)
        content["cfg"]["dataset"] |= {"batch_size": MARK, "max_tokens": [MARK]}
        content["cfg"]["optimization"] |= {"lr": [MARK], "update_freq": MARK}
        content["cfg"]["optimizer"] |= {"_name": MARK, "adam_betas": f"(0.9, {MARK})"}
        content["cfg"]["lr_scheduler"] |= {"_name": MARK}
        content["optimizer_history"] = [{"num_updates": MARK, "criterion_name": MARK}]
        content[f"/home/{MARK}/extra"] = MARK


def renamed_heads(content: dict[str, Any]) -> None:
    """The trained head under the first of HEADS, and copies of it under the others."""
    old = "sentence_classification_head"
    for key in [key for key in content["model"] if old in key]:
        tensor = content["model"].pop(key)
        for head in HEADS:
            content["model"][key.replace(old, head)] = tensor.clone()
    for holder in (vars(content["cfg"]["model"]), content["cfg"]["criterion"], content["cfg"]["task"]):
        holder["classification_head_name"] = HEADS[0]


def assert_clean(folder: Path, more: tuple[str, ...] = ()) -> None:
    files = sorted(folder.rglob("*"))
    assert {"README.md", "config.json", "parity_report.json", "model.safetensors"} <= {file.name for file in files}
    assert_hidden(files, more)


def assert_hidden(files: Iterable[Path], more: tuple[str, ...]) -> None:
    for file in files:
        content = file.read_bytes()
        assert MARK.encode() not in content.replace(b"\\", b""), file.name
        for text in more:
            assert text.encode() not in content, (file.name, text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and variables that name their user, with tokens; returns a folder in it."""
    home = tmp_path / "home" / MARK
    (home / "work").mkdir(parents=True)
    for name in ("HOME", "USER", "LOGNAME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HOSTNAME"):
        monkeypatch.setenv(name, str(home) if name == "HOME" else MARK)
    monkeypatch.chdir(home)
    return home / "work"


@pytest.mark.parametrize("source", [MLM, FIXTURES / "dinkytrain-deepspeed-fp16" / "checkpoint.pt"], ids=["mlm", "ds"])
def test_secrets_in_every_argument(source: Path, machine: Path) -> None:
    planted = Planted()
    path = save_edited(machine / "checkpoint.pt", planted.content, source)
    assert planted.count > 200
    output = machine / "out"
    convert(path, output, bpe_dir=BPE, task="masked-lm")
    assert_clean(output, (str(machine), str(BPE.parent), getpass.getuser() + "@", "/home/"))
    known = facts(card_of(output))
    # Not one setting is left that could be told, apart from what the model itself is.
    assert not {"Masking rate", "Updates", "Batch", "Learning rate", "Optimizer", "Seed"} & known.keys()
    assert known["Longest input"] == "128 tokens"


@pytest.mark.parametrize("task", ["auto", "masked-lm", "encoder"])
def test_secrets_in_the_names_of_heads(task: str, machine: Path) -> None:
    path = save_edited(machine / "checkpoint.pt", renamed_heads, CLASSIFICATION)
    output = machine / "out"
    head = HEADS[0] if task == "auto" else None
    result = convert(path, output, bpe_dir=BPE, task=task, head=head)
    assert_clean(output, HEADS)
    card = card_of(output)
    if head is not None:
        assert result.plan.task.head is not None
        assert result.plan.task.head.name == head  # to whoever converts, it is told
        assert facts(card)["Converted for"] == "sequence classification, head unnamed-1"
        assert "--head HEAD" in section(card, "Reproduce")
    report = (output / "parity_report.json").read_text()
    assert "classification_heads.unnamed-1.dense.weight" in report
    assert len(set(re.findall(r"classification_heads\.unnamed-(\d)\.", report))) == len(HEADS)


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_reports_of_the_command_withhold_the_names_of_heads(
    verdict: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What --report and --json say of a conversion is no more than what its folder says; nor is it of a verification."""
    path = save_edited(machine / "checkpoint.pt", renamed_heads, CLASSIFICATION)
    head, folder, reports = HEADS[0], machine / "out", machine / "reports"
    reports.mkdir()
    arguments = ("--head", head, *(part for suffix in SUFFIXES for part in ("--report", reports / f"r{suffix}")))
    if verdict == "failed":
        monkeypatch.setattr(embeddings, "positions_from_ids", lambda ids, pad, past=0: torch.full_like(ids, pad))
    code = run_main(monkeypatch, "convert", path, folder, "--quiet", *arguments)
    assert code == (0 if verdict == "passed" else 1)
    assert_hidden(reports.iterdir(), HEADS)
    assert "unnamed-" in (reports / "r.json").read_text()
    if verdict == "passed":
        assert (reports / "r.json").read_bytes() == (folder / "parity_report.json").read_bytes()
        assert run_main(monkeypatch, "verify", path, folder, "--quiet", *arguments) == 0
        assert_hidden(reports.iterdir(), HEADS)
        assert "classification_heads.unnamed-" in (reports / "r.json").read_text()


def test_the_folders_of_the_user_are_not_named(machine: Path) -> None:
    home = machine.parent
    for file in BPE.iterdir():
        (home / file.name).write_bytes(file.read_bytes())
    (home / "dict.txt").write_bytes(MLM.with_name("dict.txt").read_bytes())
    other = home.with_name(f"other{MARK}")  # of another user, whose name no variable tells
    other.symlink_to(home)
    for bpe in (home, other, Path(), Path("..") / MARK, machine / ".."):
        output = machine / "out"
        convert(MLM, output, bpe_dir=bpe, dictionary=home / "dict.txt", overwrite=True)
        assert_clean(output)
        assert commands(card_of(output))["convert"][3:] == ["out", "--dict", "dict.txt", "--bpe-dir", "BPE_DIR"]


def test_a_model_is_not_called_as_its_user(machine: Path) -> None:
    for output in (machine / MARK, machine.parent.parent / f"other{MARK}"):  # its folder's name, and that of a home
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("prenorm.folder.card.command._HOMES", (output.parent.name,))
            convert(MLM, output)
        assert_clean(output)
        card = card_of(output)
        assert headings(card)[0] == "RoBERTa with pre-LayerNorm"
        assert commands(card)["convert"] == ["prenorm", "convert", "checkpoint.pt", "OUTPUT"]


def test_plain_names_of_heads_are_told(tmp_path: Path, converted: Callable[[str], Path]) -> None:
    card = card_of(converted("dinkytrain-classification"))
    assert "the checkpoint has one more, `sentence_classification_head`." in section(card, "What is not in it")


@pytest.mark.parametrize(
    "name", ["mnli", "sentence_classification_head", "STS-B", "hf_head", "imdb5000", "rte_2", "_ema"]
)
def test_words_are_plain(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "a@b", "a.b", "é", "a" * 41, "hf_AbCdEfGhIjKl1234", "ghp_1234567890ab", "sk-abcdefgh1",
     "AKIA12345678ABCD", "0123456789abcdef", "a--\n", "<b>", "x|y", "deadbeefcafe1", "topic_0a1b2c3d4e5f6a"],
)  # fmt: skip
def test_what_could_be_a_secret_is_not_plain(name: str) -> None:
    assert not is_plain(name)


def test_keys_of_every_fixture_are_told() -> None:
    """Whatever real fairseq calls its tensors, a report names it."""
    count = 0
    for path in FIXTURES.rglob("checkpoint*.pt"):
        try:
            keys = load_trusted(path)["model"].keys()
        except Exception:  # other programs' files, and those that need their classes
            continue
        assert PublicNames.of_keys(keys).hidden == {}, path
        count += 1
    assert count > 40


def test_a_hidden_name_is_hidden_within_sentences_too() -> None:
    keys = ["classification_heads./home/me.dense.weight", "classification_heads.a@b.c.out_proj.bias", "x.é.weight"]
    names = PublicNames.of_keys(keys)
    withheld = {
        "the head '/home/me' is": "the head 'unnamed-1' is", "/home/me.x": "unnamed-1.x", "x.é.weight": "x.unnamed-3.weight",
        "é": "unnamed-3", "né": "né", "a@b.c": "unnamed-2",
    }  # fmt: skip
    assert {text: names.in_text(text) for text in withheld} == withheld
    report = read({**synthetic(), "disagreements": [*withheld], "noise_floor": {"modules": {"head.a@b.c.out": 1e-7}}})
    published = names.in_report(report)
    assert published.disagreements == tuple(withheld.values())
    assert published.noise_floor is not None
    assert published.noise_floor.modules == {"head.unnamed-2.out": 1e-7}
    assert replace(published, disagreements=(), noise_floor=None) == replace(report, disagreements=(), noise_floor=None)
    assert (names.head("/home/me"), names.head("mnli"), names.tells("a@b.c")) == ("unnamed-1", "mnli", False)
