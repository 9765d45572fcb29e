"""`prenorm inspect`: what fits a screen, what programs read, and which exit code it ends with."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from helpers.checkpoints import save_edited
from helpers.commands import run_command, run_installed, run_main
from helpers.paths import BPE, FIXTURES, MLM, PRENORM
from helpers.terminal import written_to
from helpers.waiting import PATIENCE

AT = "encoder.sentence_encoder.layers."
SCREEN = 23  # lines of a terminal of 24, one of which is the next prompt's


def screen(folder: Path, columns: int, *arguments: str) -> list[str]:
    """The lines that a terminal of that width shows of a command run in a folder."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", SCREEN + 1, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [PRENORM, *map(str, arguments)],
        stdout=follower,
        stderr=follower,
        env={**environment, "TERM": "xterm"},
        cwd=folder,
    )
    os.close(follower)
    written = written_to(leader)
    assert process.wait(PATIENCE) == 0, written
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written.decode().replace("\r\n", "\n")).splitlines()
    return [line[at : at + columns] for line in plain for at in range(0, max(len(line), 1), columns)]


def twelve_layers(content: dict[str, Any]) -> None:
    """Make as many layers as roberta_base has."""
    model = content["model"]
    layer = {key.removeprefix(f"{AT}0."): value for key, value in model.items() if key.startswith(f"{AT}0.")}
    model.update({f"{AT}{n}.{key}": value.clone() for n in range(3, 12) for key, value in layer.items()})
    content["cfg"]["model"].encoder_layers = 12


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_edited(tmp_path_factory.mktemp("base") / "checkpoint_best.pt", twelve_layers)


@pytest.mark.parametrize(("columns", "most"), [(60, SCREEN + 8), (80, SCREEN), (100, SCREEN)])
def test_it_fits_a_screen(base: Path, columns: int, most: int) -> None:
    lines = screen(base.parent, columns, "inspect", base.name)
    assert len(lines) <= most
    assert lines == [line.rstrip() for line in lines]
    text = " ".join(" ".join(lines).split())
    assert "layers.0-11 x12 (16 each)" in text
    assert "a pre-LayerNorm RoBERTa of 258 thousand parameters" in text
    for part in (
        "257,665 parameters", "12 layers", "roberta-prelayernorm", "masked-lm", "GPT-2's byte-level BPE",
        "312 of 400 updates", "epoch 7", "validation loss 7.609, the best so far; training loss 7.577",
        "learning rate 0.002 (last 0.000463)", "masked 40 %",
    ):  # fmt: skip
        assert part in text, part


def test_no_word_is_broken(base: Path) -> None:
    words = set(" ".join(screen(base.parent, 200, "inspect", base.name)).split())
    last = screen(base.parent, 60, "inspect", base.name)
    place = next(n for n, line in enumerate(last) if line.startswith("next "))  # to be copied, so on one line
    assert set(" ".join(last[:place]).split()) <= words


def test_it_ends_with_the_command_that_converts_it(base: Path) -> None:
    last = run_command("inspect", base, "--task", "encoder").stdout.splitlines()[-1]
    assert last.split() == ["next", "prenorm", "convert", str(base), "--task", "encoder", "--bpe-dir", "gpt2"]
    assert f"--bpe-dir {BPE}" in run_command("inspect", base, "--bpe-dir", BPE).stdout.splitlines()[-1]


def test_tensors_lists_every_tensor_and_every_global() -> None:
    path = FIXTURES / "fairseq-0.12.2-hydra" / "checkpoint.pt"
    brief, whole = (run_command("inspect", path, *more).stdout for more in ((), ("--tensors",)))
    for part in ("layers.2.fc1.weight", "fused kernel", "85 tensors\n", "collections.OrderedDict"):
        assert part in whole
        assert part not in brief
    assert "85 tensors (26 not needed)" in brief


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_it_needs_no_character_that_an_encoding_lacks(encoding: str, base: Path) -> None:
    done = run_installed("inspect", base, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.stdout == run_command("inspect", base).stdout
    assert done.stdout.isascii()


FILES = sorted({*FIXTURES.glob("**/checkpoint.pt"), *(FIXTURES / "field").glob("**/*.pt")})


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_has_no_words_of_python_and_no_empty_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_main(monkeypatch, "inspect", path) == 0
    lines = capsys.readouterr().out.splitlines()
    refusal = [n for n, line in enumerate(lines) if line.startswith("refused")]  # it quotes the arguments
    facts = [line for n, line in enumerate(lines) if not refusal or n < refusal[0] or line[:1] != " "]
    assert not re.findall(
        r"\b(None|True|False|unknown|Namespace)\b|(?<!-)\bdict\b(?!\.txt)|[{}]", "\n".join(facts[:-1])
    )
    assert all(line[11:].strip() for line in lines)
    assert lines[0].startswith(f"{path.name}: ")


REFUSED = {
    "converts": (MLM, 0, 0),
    "post-LayerNorm": (FIXTURES / "fairseq-0.10.2-postnorm" / "checkpoint.pt", 0, 3),
    "another model": (FIXTURES / "field" / "other-models" / "xmod.pt", 0, 3),
    "no checkpoint": (BPE / "encoder.json", 4, 4),
    "no file": (FIXTURES / "none.pt", 2, 2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_check_ends_with_the_exit_code_of_convert(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plain, checked = REFUSED[case]
    assert run_main(monkeypatch, "inspect", path) == plain
    assert run_main(monkeypatch, "inspect", path, "--check") == checked
    assert run_main(monkeypatch, "inspect", path, "--check", "--json") == checked
    if checked:
        assert run_main(monkeypatch, "convert", path, tmp_path / "out") == checked


def test_what_cannot_be_converted_is_said_first() -> None:
    lines = run_command("inspect", REFUSED["post-LayerNorm"][0]).stdout.splitlines()
    assert lines[0] == "checkpoint.pt: cannot be converted"
    assert lines[1].startswith("refused    this is a post-LayerNorm model")
    assert "convert would end with exit code 3" in " ".join(" ".join(lines).split())


def test_a_damaged_checkpoint_that_opens_is_refused_with_its_own_code(tmp_path: Path) -> None:
    path = save_edited(tmp_path / "c.pt", lambda content: content["model"].pop(f"{AT}1.fc1.bias"))
    assert run_command("inspect", path).returncode == 0
    assert run_command("inspect", path, "--check").returncode == 4


@pytest.mark.parametrize("name", [path.parent.name for path in sorted(FIXTURES.glob("*/checkpoint.pt"))])
def test_inspect_tells_a_program(name: str) -> None:
    found = json.loads(run_command("inspect", FIXTURES / name / "checkpoint.pt", "--json").stdout)
    refused = name == "fairseq-0.10.2-postnorm"
    assert (found["refusal_code"] == 3) == refused
    assert (found["converts_to"] is None) == refused
    assert all(line["dtype"] in ("float32", "float16") and line["name"] for line in found["tensors"])
    assert {item["risk"] for item in found["globals"]} == {"plain"}
    if not refused:
        assert found["description"]["attention_heads"] == 4
        assert all(line["target"] or line["reason"] for line in found["tensors"])
    history = (found["description"] or {}).get("history")
    assert refused or (history["updates"] and history["validation"] and found["parameters"] and found["next_step"])
