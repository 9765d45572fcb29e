"""Errors: one JSON document on stdout with --json for every exit code, and a suggestion for what is misspelt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import prenorm
from helpers.commands import run_command, run_main
from helpers.paths import BPE, FIXTURES, MLM, PRENORM
from helpers.planted_faults import configure
from prenorm.cli.signals import PushInterrupted, Terminated
from prenorm.errors import UsageProblem

FIELDS = {"kind", "cause", "subject", "advice", "problems"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint and what belongs to it, which is the current one."""
    shutil.copy(MLM, tmp_path / "checkpoint_best.pt")
    shutil.copy(MLM.with_name("dict.txt"), tmp_path)
    (tmp_path / "my-model").mkdir()
    (tmp_path / "gpt2_bpe").symlink_to(BPE)
    (tmp_path / "golden.npz").write_bytes(b"")
    (tmp_path / "about.md").write_text("About it")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: its exit code, and what it prints."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_main(monkeypatch, *arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def document(text: str) -> dict[str, Any]:
    """The one JSON document that a text is."""
    content = json.loads(text)
    assert isinstance(content, dict)
    return content


def damaged(folder: Path) -> Path:
    path = folder / "damaged.pt"
    path.write_bytes(MLM.read_bytes()[:5000])
    return path


CASES: dict[str, tuple[int, str, Callable[[Path], list[str | Path]]]] = {
    "no such file": (2, "usage", lambda _: ["inspect", "none.pt"]),
    "no such option": (2, "usage", lambda _: ["inspect", "--taks", "masked-lm", "none.pt"]),
    "no such command": (2, "usage", lambda _: ["inspct", "none.pt"]),
    "no argument": (2, "usage", lambda _: ["inspect"]),
    "no number": (2, "usage", lambda _: ["inspect", "none.pt", "--attention-heads", "many"]),
    "out of bounds": (2, "usage", lambda _: ["inspect", "none.pt", "--attention-heads", "0"]),
    "no such value": (2, "usage", lambda _: ["inspect", "none.pt", "--task", "mlm"]),
    "no value": (2, "usage", lambda _: ["inspect", "none.pt", "--task"]),
    "too many": (2, "usage", lambda _: ["inspect", "none.pt", "other.pt"]),
    "another mode's": (2, "usage", lambda _: ["convert", "none.pt", "out", "--private"]),
    "not representable": (
        3, "not_representable", lambda _: ["convert", FIXTURES / "fairseq-0.10.2-postnorm" / "checkpoint.pt", "out"]
    ),
    "damaged": (4, "unreadable", lambda folder: ["convert", damaged(folder), "out"]),
}  # fmt: skip


@pytest.mark.parametrize("position", ["before", "behind"])
@pytest.mark.parametrize("case", CASES)
def test_an_error_is_one_json_document(case: str, position: str, place: Path, main: Callable[..., Any]) -> None:
    code, kind, arguments_in = CASES[case]
    arguments = arguments_in(place)
    words = ["--json", *arguments] if position == "before" else [*arguments, "--json"]
    if case == "no value" and position == "behind":
        words = ["inspect", "--json", "none.pt", "--task"]
    returned, out, err = main(*words)
    content = document(out)
    assert (returned, content.keys(), content["exit_code"]) == (code, {"error", "exit_code"}, code)
    error = content["error"]
    assert (error.keys(), error["kind"]) == (FIELDS, kind)
    assert error["cause"].rstrip(".") in err and (error["subject"] or "") in err and error["advice"] in err
    assert err.startswith("Error: ") and main(*arguments)[1:] == ("", err)


def test_the_hub_out_of_reach_is_one_json_document(place: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = run_command("inspect", "hf://my-name/my-model/checkpoint_best.pt", "--json", env=environment)
    content = document(done.stdout)
    assert (done.returncode, content["exit_code"], content["error"]["kind"]) == (5, 5, "hub")
    assert content["error"]["subject"] == "my-name/my-model"


def test_a_failed_parity_is_its_report(place: Path, main: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    configure(layer_norm_eps=1e-12)(monkeypatch)
    code, out, err = main("convert", "checkpoint_best.pt", "out", "--json")
    content = document(out)
    assert (code, content["passed"], "error" in content) == (1, False, False)
    assert "does not compute" in err


def test_what_cannot_be_compared_is_an_error_of_code_1(
    place: Path, main: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prenorm.commands import assemble

    def fail(*_: object) -> None:
        raise ValueError("the files do not fit")

    monkeypatch.setattr(assemble, "_prove", fail)
    code, out, _ = main("convert", "checkpoint_best.pt", "out", "--json")
    content = document(out)
    assert (code, content["exit_code"], content["error"]["kind"]) == (1, 1, "parity_failed")
    assert (content["error"]["subject"], "the files do not fit" in content["error"]["cause"]) == ("out", True)


@pytest.mark.parametrize(
    ("end", "code", "kind"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Terminated(15), 143, "terminated"),
        (PushInterrupted("my-model", 130), 130, "interrupted"),
        (OSError(28, "No space left on device", "out"), 2, "usage"),
    ],
)
def test_what_comes_from_outside_is_one_json_document(
    end: BaseException, code: int, kind: str, place: Path, main: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import prenorm.commands.inspect as command

    def fail(*_: object) -> None:
        raise end

    monkeypatch.setattr(command, "open_source", fail)
    returned, out, err = main("inspect", "checkpoint_best.pt", "--json")
    content = document(out)
    assert (returned, content["exit_code"], content["error"]["kind"]) == (code, code, kind)
    assert err.lstrip("\n").startswith("Error: ")


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours_asks_for_a_report(
    debug: bool, place: Path, main: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import prenorm.commands.inspect as command

    def fail(*_: object) -> None:
        raise KeyError("hf_abcdefghijklmnop and more\x1b[2J")

    monkeypatch.setattr(command, "open_source", fail)
    for words in ([], ["--json"]):
        code, out, err = main("inspect", "checkpoint_best.pt", *words, *(["--debug"] if debug else []))
        assert (code, "Traceback" in err, "hf_abc" in err, "\x1b" in err) == (1, debug, False, False)
        sentence = err.splitlines()[-1]
        assert sentence.startswith(f"Error: prenorm {prenorm.__version__} has a fault (KeyError: ")
        assert sentence.endswith("; please report it, with the traceback that --debug shows.")
    content = document(out)
    assert (content["exit_code"], content["error"]["kind"], content["error"]["subject"]) == (1, "internal", None)
    assert f"Error: {content['error']['cause']}." == sentence


OPTION_FILES = {
    "--dict": "none.txt", "--sentencepiece": "none.model", "--bpe-dir": "none", "--label-dict": "none.txt",
}  # fmt: skip


@pytest.mark.parametrize("flag", OPTION_FILES)
def test_inspect_refuses_an_option_file_that_is_not_there(flag: str, place: Path, main: Callable[..., Any]) -> None:
    checkpoint = (
        FIXTURES / "dinkytrain-classification" / "checkpoint.pt" if flag == "--label-dict" else "checkpoint_best.pt"
    )
    code, out, err = main("inspect", checkpoint, flag, OPTION_FILES[flag])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"Error: {OPTION_FILES[flag]}") and "does not exist" in err
    code, out, _ = main("inspect", checkpoint, flag, OPTION_FILES[flag], "--json")
    assert (code, document(out)["error"]["kind"]) == (2, "usage")


def test_inspect_shows_what_an_option_that_does_not_fit_leaves(place: Path, main: Callable[..., Any]) -> None:
    Path("short.txt").write_text("a 1\n")
    code, out, _ = main("inspect", "checkpoint_best.pt", "--dict", "short.txt")
    assert (code, "short.txt" in out) == (0, True)


def test_an_interruption_after_the_document_adds_no_other(
    place: Path, main: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prenorm.cli import console

    really = console.print_json

    def interrupted(content: Any) -> None:
        really(content)
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "print_json", interrupted)
    code, out, _ = main("inspect", "checkpoint_best.pt", "--json")
    assert (code, document(out)["container"]) == (130, "zip")


@pytest.mark.parametrize("arguments", [["inspect", "checkpoint_best.pt"], ["convert", "checkpoint_best.pt", "out"]])
def test_success_is_one_json_document(arguments: list[str], place: Path, main: Callable[..., Any]) -> None:
    for words in (
        ["--json", *arguments],
        [*arguments, "--json", "--overwrite"][: None if arguments[0] == "convert" else -1],
    ):
        code, out, _ = main(*words)
        assert (code, "error" in document(out)) == (0, False)


def test_a_json_error_in_ascii_and_to_a_closed_pipe(place: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run_command("inspect", "größe–ß.pt", "--json", env=environment)
    assert done.stdout.isascii() and document(done.stdout)["error"]["subject"] == "größe–ß.pt"
    reader, writer = os.pipe()
    os.close(reader)
    closed = subprocess.run([PRENORM, "inspect", "none.pt", "--json"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (closed.returncode, closed.stderr.startswith(b"Error: none.pt")) == (0, True)


MISSPELT: dict[str, tuple[list[str], str]] = {
    "checkpoint": (["inspect", "checkpoint_bst.pt"], "checkpoint_best.pt"),
    "checkpoint's folder": (["verify", "my-modl/checkpoint.pt", "my-model"], "my-model/checkpoint.pt"),
    "dictionary": (["convert", "checkpoint_best.pt", "out", "--words", "--dict", "dct.txt"], "dict.txt"),
    "labels": (
        ["convert", str(FIXTURES / "dinkytrain-classification" / "checkpoint.pt"), "out", "--label-dict", "dct.txt"],
        "dict.txt",
    ),
    "bpe": (["convert", "checkpoint_best.pt", "out", "--bpe-dir", "gpt2_bp"], "gpt2_bpe/encoder.json"),
    "sentencepiece": (["convert", "checkpoint_best.pt", "out", "--sentencepiece", "dict.txx"], "dict.txt"),
    "card": (["convert", "checkpoint_best.pt", "out", "--card", "abot.md"], "about.md"),
    "output's folder": (["convert", "checkpoint_best.pt", "my-modle/out"], "my-model/out"),
    "report's folder": (["convert", "checkpoint_best.pt", "out", "--report", "my-modle/x.md"], "my-model/x.md"),
    "folder": (["verify", "checkpoint_best.pt", "my-modl"], "my-model"),
    "pushed folder": (["push", "my-modl", "my-name/my-model"], "my-model"),
    "golden": (["verify", "my-model", "--golden", "goldn.npz"], "golden.npz"),
    "task": (["inspect", "checkpoint_best.pt", "--task", "masked-ml"], "masked-lm"),
    "runtime": (["verify", "checkpoint_best.pt", "my-model", "--runtime", "transformer"], "transformers"),
    "option": (["inspect", "checkpoint_best.pt", "--taks", "encoder"], "--task"),
    "option before the command": (["--jsn", "inspect", "checkpoint_best.pt"], "--json"),
    "command": (["inspct", "checkpoint_best.pt"], "inspect"),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_what_is_misspelt_is_suggested(case: str, place: Path, main: Callable[..., Any]) -> None:
    arguments, meant = MISSPELT[case]
    code, out, err = main(*arguments)
    asked = err.replace("'", "").strip()
    assert (code, out, f"Did you mean {meant}?" in asked) == (2, "", True), err


def test_nothing_is_suggested_that_is_not_near(place: Path, main: Callable[..., Any]) -> None:
    for arguments in (["inspect", "zzz.pt"], ["inspect", "x.pt", "--zzz"], ["inspect", "x", "--task", "zzz"], ["zzz"]):
        code, _, err = main(*arguments)
        assert (code, "Did you mean" in err) == (2, False), err


@pytest.fixture
def calls() -> Iterator[dict[str, Callable[[], object]]]:
    yield {
        "checkpoint_best.pt": lambda: prenorm.inspect("checkpoint_bst.pt"),
        "my-model": lambda: prenorm.push("my-modl", "my-name/my-model"),
        "masked-lm": lambda: prenorm.inspect("checkpoint_best.pt", task="masked-ml"),
        "golden.npz": lambda: prenorm.verify("my-model", golden="goldn.npz"),
    }


@pytest.mark.parametrize("meant", ["checkpoint_best.pt", "my-model", "masked-lm", "golden.npz"])
def test_python_gets_the_suggestion_too(meant: str, place: Path, calls: dict[str, Callable[[], object]]) -> None:
    with pytest.raises(UsageProblem) as caught:
        calls[meant]()
    assert caught.value.advice == f"Did you mean {meant}?"
