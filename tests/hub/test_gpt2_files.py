"""GPT-2's files from the Hub: by `--bpe-dir gpt2`, and unasked where the dictionary is the one published with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers.hub import Hold, Hub, Status, WrongContent
from helpers.hub.command import prenorm
from helpers.hub.gpt2 import FILES, seeded
from helpers.paths import BPE, MLM
from prenorm.tokenization.gpt2 import REPO_ID

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a checkpoint and its dictionary, and nothing else."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(MLM, folder / "checkpoint_best.pt")
    shutil.copy(MLM.with_name("dict.txt"), folder)
    return folder


def test_by_name_they_are_fetched_once_and_then_in_the_cache(hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=False)
    arguments = ("convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", "--overwrite")
    done = prenorm(hub, home, *arguments, cwd=work, changed=changed)
    assert done.returncode == 0, done.stderr
    assert f"Tokenizer: byte-level BPE, from GPT-2's files of {REPO_ID} on the Hub" in done.stdout
    assert "prenorm verify checkpoint_best.pt checkpoint_best --bpe-dir gpt2" in done.stdout
    assert "--bpe-dir gpt2\n" in (work / "checkpoint_best" / "README.md").read_text()
    tokenizer = (work / "checkpoint_best" / "tokenizer.json").read_bytes()
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "ours", "--bpe-dir", BPE, cwd=work)
    assert tokenizer == (work / "ours" / "tokenizer.json").read_bytes()
    fetched = len(hub.log)
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = prenorm(hub, home, *arguments, "--quiet", cwd=work, changed=changed, **environment)
        assert (done.returncode, len(hub.log)) == (0, fetched), done.stderr
    done = prenorm(
        hub, home, "verify", "checkpoint_best.pt", "checkpoint_best", "--bpe-dir", "gpt2", cwd=work, changed=changed
    )
    assert done.returncode == 0 and "gpt2" not in done.stderr, done.stdout


def test_a_folder_of_that_name_comes_first(hub: Hub, home: Path, work: Path) -> None:
    (work / "gpt2").symlink_to(BPE)
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", cwd=work)
    assert done.returncode == 0 and "byte-level BPE, from gpt2\n" in done.stdout and hub.log == []


def test_other_files_than_the_published_ones_are_refused(hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=False)
    hub.faults.add("content", WrongContent(), path="merges.txt", times=None)
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", cwd=work, changed=changed)
    right = changed["prenorm.tokenization.gpt2.FILES"]["merges.txt"]  # type: ignore[index]
    assert done.returncode == 5 and "'merges.txt'" in done.stderr and f"must be {right}" in done.stderr
    assert "its SHA-256 is " in done.stderr and not (work / "checkpoint_best").exists()
    hub.faults.clear()  # and nothing wrong has stayed in the cache
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", cwd=work, changed=changed)
    assert done.returncode == 0, done.stderr


def test_a_wrong_file_in_the_cache_is_not_taken(hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=False)
    arguments = ("convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", "--overwrite", "--quiet")
    assert prenorm(hub, home, *arguments, cwd=work, changed=changed).returncode == 0
    for path in home.rglob("merges.txt"):
        path.resolve().write_bytes(FILES["merges.txt"][:-30])
    done = prenorm(hub, home, *arguments, cwd=work, changed=changed)
    assert done.returncode == 5 and "SHA-256" in done.stderr
    assert prenorm(hub, home, *arguments, cwd=work, changed=changed).returncode == 0


@pytest.mark.parametrize("reason", ["offline", "unreachable"])
def test_without_the_hub_one_sentence_says_what_to_do(reason: str, hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=False)
    environment = {"HF_HUB_OFFLINE": "1"} if reason == "offline" else {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = prenorm(
        hub, home, "convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", cwd=work, changed=changed, **environment
    )
    assert done.returncode == 5, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1 and "again in" not in errors[0]
    for part in ("vocab.json and merges.txt", f"hf download {REPO_ID}", "--bpe-dir gpt2_bpe", "encoder.json"):
        assert part in errors[0], errors
    assert ("HF_HUB_OFFLINE" in errors[0]) == (reason == "offline") and not (work / "checkpoint_best").exists()


@pytest.mark.parametrize(("option", "asked"), [((), 3), (("--retries", "1"), 2), (("--retries", "0"), 1)])
def test_they_are_asked_for_as_often_as_the_option_says(
    option: tuple[str, ...], asked: int, hub: Hub, home: Path, work: Path
) -> None:
    changed = seeded(hub, published=False)
    arguments = ("convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", *option)
    done = prenorm(hub, home, *arguments, cwd=work, changed=changed, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count(f" of {asked})") == done.stderr.count("again in") == asked - 1


def test_they_are_waited_for_as_long_as_the_option_says(hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=False)
    hub.faults.add("resolve", Hold("release"), times=None)
    arguments = ("convert", "checkpoint_best.pt", "--bpe-dir", "gpt2", "--retries", "0", "--timeout", "0.3")
    done = prenorm(hub, home, *arguments, cwd=work, changed=changed)
    hub.release()
    assert done.returncode == 5 and "cannot be fetched" in done.stderr, done.stderr


def test_the_published_dictionary_gets_its_tokenizer_unasked(hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=True)
    seen = prenorm(hub, home, "inspect", "checkpoint_best.pt", cwd=work, changed=changed)
    assert seen.returncode == 0 and f"tokenizer  byte-level BPE, from GPT-2's files of {REPO_ID}" in seen.stdout
    assert "no tokenizer" not in seen.stdout and hub.log == []  # inspect asks nobody
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "--json", cwd=work, changed=changed)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tokenizer"].startswith("byte-level BPE, from GPT-2's files")
    assert "--bpe-dir gpt2\n" in (work / "checkpoint_best" / "README.md").read_text()
    verified = prenorm(
        hub, home, "verify", "checkpoint_best.pt", "checkpoint_best", "--strict", cwd=work, changed=changed
    )
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("reason", ["offline", "unreachable", "refused", "silent"])
def test_unasked_the_hub_is_never_waited_for(reason: str, hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=True)
    environment = {"HF_HUB_ETAG_TIMEOUT": "10"}  # huggingface_hub's default, which ours comes before
    if reason == "offline":
        environment = {"HF_HUB_OFFLINE": "1"}
    elif reason == "unreachable":
        environment = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    else:
        hub.faults.add("resolve", Status(503) if reason == "refused" else Hold("release"), times=None)
        changed |= {"prenorm.commands.opening._UNASKED_TIMEOUT": 0.3}
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", cwd=work, changed=changed, **environment)
    hub.release()
    hub.stop()
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "the folder gets no tokenizer" in line]
    assert len(warnings) == 1 and "dict.txt is the dictionary of GPT-2's BPE" in warnings[0]
    assert "hf download" in warnings[0] and "again in" not in done.stderr
    assert not (work / "checkpoint_best" / "tokenizer.json").exists()
    assert len(hub.log) <= (0 if reason in ("offline", "unreachable") else 2)  # huggingface_hub asks twice at most


def test_who_wants_no_tokenizer_or_has_another_dictionary_asks_nobody(hub: Hub, home: Path, work: Path) -> None:
    changed = seeded(hub, published=True)
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "--no-tokenizer", cwd=work, changed=changed)
    assert done.returncode == 0 and "Tokenizer: none" in done.stdout and "tokenizer" not in done.stderr
    assert "--no-tokenizer" in (work / "checkpoint_best" / "README.md").read_text()
    changed = {name: value for name, value in changed.items() if not name.endswith("DICTIONARY_SHA256")}
    done = prenorm(hub, home, "convert", "checkpoint_best.pt", "other", cwd=work, changed=changed)
    assert done.returncode == 0 and "--bpe-dir gpt2 gets GPT-2's from the Hub" in done.stderr
    assert hub.log == []
