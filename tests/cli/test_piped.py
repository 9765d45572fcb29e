"""What the command prints where stdout is no terminal: any encoding, any width, a pipe that is closed early."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from helpers.commands import run_command, run_installed, start_command
from helpers.paths import BPE, MLM, PRENORM


def printed(*arguments: str | Path, **environment: str) -> str:
    """What the command prints to its end, in its encoding."""
    with tempfile.TemporaryFile() as stdout:
        command = start_command(*arguments, stdout=stdout.fileno(), env={**os.environ, **environment})
        assert command.wait() == 0
        stdout.seek(0)
        return stdout.read().decode(environment.get("PYTHONIOENCODING", "utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_holds_what_is_printed(encoding: str, tmp_path: Path) -> None:
    shown = printed("convert", MLM, tmp_path / "out", "--bpe-dir", BPE, PYTHONIOENCODING=encoding)
    dash = "–".encode(encoding, "backslashreplace").decode(encoding)
    assert f"<mask>. {dash} " in shown
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_an_error_is_printed_in_any_encoding() -> None:
    done = run_installed("inspect", "größe–ß.pt", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr[:32]) == (2, r"Error: gr\xf6\xdfe\u2013\xdf.pt:")


@pytest.mark.parametrize("columns", ["", "0", "40", "60", "100"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "checkpoint_bst.pt"),
        ("inspect", "none.pt", "--task", "masked-ml"),
        ("inspect", "none.pt", "--taks", "masked-lm"),
        ("convert", "none.pt", "--head", "topic", "--task", "encoder"),
        ("completion", "bsh"),
    ],
    ids=" ".join,
)
def test_an_error_is_one_line_at_any_width(arguments: tuple[str, ...], columns: str, tmp_path: Path) -> None:
    """A program that reads stderr gets whole sentences, and a terminal breaks them itself."""
    done = run_command(*arguments, env={**os.environ, "COLUMNS": columns}, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("Error: ") and done.stderr == done.stderr.rstrip() + "\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", MLM),
        ("inspect", MLM, "--json"),
        ("--help",),
        ("convert", "--help"),
        ("completion", "bash"),
        ("completion", "zsh", "--json"),
    ],
)
def test_a_reader_that_has_seen_enough_is_no_failure(arguments: tuple[str | Path, ...]) -> None:
    """The pipe is closed before the command writes its first line, which is earlier than any reader closes one."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PRENORM, *map(str, arguments)], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_columns_that_are_no_width_are_none() -> None:
    assert printed("inspect", MLM, COLUMNS="0") == printed("inspect", MLM, COLUMNS="") == printed("inspect", MLM)


@pytest.mark.parametrize("columns", [60, 100])
def test_tables_are_as_wide_as_the_terminal_that_a_pager_shows_them_on(columns: int) -> None:
    shown = printed("inspect", MLM, "--tensors", COLUMNS=str(columns))
    table = [line for line in shown.splitlines() if line[:1] in "┌│└┏┃┡"]
    assert len(table) > 20
    assert {len(line) for line in table} <= {*range(columns + 1)}
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []
