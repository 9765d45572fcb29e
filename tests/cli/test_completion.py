"""Completion, driven in bash, zsh and fish themselves: what a user gets who types and presses the Tab key."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.commands import run_main
from helpers.paths import PRENORM
from helpers.waiting import PATIENCE

# What is typed before Tab, and the words that the line then has. In a folder with `FILES`.
FILES = ("checkpoint_best.pt", "my-notes.txt", "my-model/", "gpt2_bpe/", "runs/")
CASES = {
    "command": ("prenorm insp", ["prenorm", "inspect"]),
    "option": ("prenorm inspect --sent", ["prenorm", "inspect", "--sentencepiece"]),
    "common option": ("prenorm --js", ["prenorm", "--json"]),
    "value": ("prenorm inspect --task seq", ["prenorm", "inspect", "--task", "sequence-classification"]),
    "value of an argument": ("prenorm completion f", ["prenorm", "completion", "fish"]),
    "checkpoint": ("prenorm convert chec", ["prenorm", "convert", "checkpoint_best.pt"]),
    "folder with checkpoints": ("prenorm convert ru", ["prenorm", "convert", "runs/"]),
    "folder of a run": ("prenorm convert-run ru", ["prenorm", "convert-run", "runs/"]),
    "folder to make": ("prenorm convert checkpoint_best.pt my-", ["prenorm", "convert", "checkpoint_best.pt", "my-model/"]),
    "folder to judge": ("prenorm verify checkpoint_best.pt my-", ["prenorm", "verify", "checkpoint_best.pt", "my-model/"]),
    "folder to push": ("prenorm push my-", ["prenorm", "push", "my-model/"]),
    "folder of an option": (
        "prenorm inspect checkpoint_best.pt --bpe-dir gp",
        ["prenorm", "inspect", "checkpoint_best.pt", "--bpe-dir", "gpt2_bpe/"],
    ),
    "file of an option": ("prenorm inspect --dict my-n", ["prenorm", "inspect", "--dict", "my-notes.txt"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    for name in FILES:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run([PRENORM, "completion", shell], capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stderr) == (0, "")
        (folder / f".script.{shell}").write_text(done.stdout)
    return folder


def needed(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell} here (apt-get install {shell})")
    return path


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(PRENORM).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8", "PS1": "$ "}


class Terminal:
    """A shell on a terminal."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._leader, follower = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, cwd=folder, env=environment(folder),
            start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        self._number = 0

    def run(self, line: str) -> str:
        """Types a line and Enter; returns what is printed until the prompt that follows."""
        self._number += 1
        os.write(self._leader, f"{line}\necho end''-{self._number}\n".encode())
        text, end = "", time.monotonic() + PATIENCE
        while f"end-{self._number}" not in text:
            assert select.select([self._leader], [], [], max(end - time.monotonic(), 0))[0], text
            text += os.read(self._leader, 4096).decode(errors="replace")
        return text.replace("\r", "")

    def completed(self, typed: str) -> list[str]:
        """The words of the line after Tab: the line becomes the arguments of printf, behind Ctrl-A."""
        text = self.run(f"{typed}\t\x01printf '<%s>\\n' ")
        return re.findall(r"^<(.*)>$", text, re.MULTILINE)

    def close(self) -> None:
        os.close(self._leader)
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def bash(place: Path) -> Iterator[Terminal]:
    terminal = Terminal([needed("bash"), "--norc", "--noprofile", "-i"], place)
    terminal.run("bind 'set enable-bracketed-paste off'")
    terminal.run("source .script.bash")
    yield terminal
    terminal.close()


@pytest.fixture(scope="module")
def zsh(place: Path) -> Iterator[Terminal]:
    terminal = Terminal([needed("zsh"), "-f", "-i"], place)
    terminal.run("bindkey -e; unset zle_bracketed_paste; PROMPT_EOL_MARK=")
    terminal.run("autoload -U compinit && compinit -u -D")
    terminal.run("source .script.zsh")
    yield terminal
    terminal.close()


# Bash takes these apart at the equals sign.
EQUALS = {
    "value": ("prenorm inspect --task=seq", ["prenorm", "inspect", "--task=sequence-classification"]),
    "second value": (
        "prenorm verify --runtime=bundled --compute=float3", ["prenorm", "verify", "--runtime=bundled", "--compute=float32"]
    ),
    "file": ("prenorm inspect --dict=my-n", ["prenorm", "inspect", "--dict=my-notes.txt"]),
    "folder": ("prenorm inspect --bpe-dir=gp", ["prenorm", "inspect", "--bpe-dir=gpt2_bpe/"]),
    "checkpoint behind it": (
        "prenorm convert --task=encoder chec", ["prenorm", "convert", "--task=encoder", "checkpoint_best.pt"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EQUALS)
def test_bash_completes_behind_an_equals_sign(case: str, bash: Terminal) -> None:
    typed, words = EQUALS[case]
    assert bash.completed(typed) == words


@pytest.mark.parametrize("case", CASES)
def test_bash_completes(case: str, bash: Terminal) -> None:
    typed, words = CASES[case]
    assert bash.completed(typed) == words


@pytest.mark.parametrize("case", CASES)
def test_zsh_completes(case: str, zsh: Terminal) -> None:
    typed, words = CASES[case]
    assert zsh.completed(typed) == [word.rstrip("/") for word in words]  # zsh takes a slash away that ends a word


@pytest.mark.parametrize("case", CASES)
def test_fish_completes(case: str, place: Path) -> None:
    """fish prints itself what it offers for a line, a word before each explanation."""
    typed, words = CASES[case]
    done = subprocess.run(
        [needed("fish"), "--no-config", "-c", "source .script.fish; complete -C $argv[1]", typed],
        cwd=place, env=environment(place), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [words[-1]], done.stderr


@pytest.mark.parametrize("typed", ["prenorm push my-model/ so", "prenorm inspect --head na", "prenorm inspect --zz"])
def test_nothing_is_offered_for_what_nobody_knows(typed: str, bash: Terminal) -> None:
    assert bash.completed(typed) == typed.split()


def test_completing_imports_nothing_heavy(place: Path) -> None:
    program = (
        "import sys, atexit; from prenorm.cli.main import main; "
        "heavy = ('torch', 'rich', 'huggingface_hub', 'numpy', 'safetensors', 'tokenizers', 'matplotlib'); "
        "atexit.register(lambda: print('loaded:', *[name for name in heavy if name in sys.modules])); "
        "sys.argv = ['prenorm']; main()"
    )
    asked = {"_PRENORM_COMPLETE": "bash_complete", "COMP_WORDS": "prenorm convert --task m", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **asked}
    )
    assert done.stdout.splitlines() == ["plain,masked-lm", "plain,multiple-choice", "loaded:"], done.stderr


def test_another_shell_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "completion", "bsh") == 2
    assert "not one of bash, zsh, fish. Did you mean bash?" in capsys.readouterr().err
