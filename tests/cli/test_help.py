"""What `--help` shows: every option in its section, examples that work, and whole words at any width."""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import struct
import subprocess
from contextlib import redirect_stdout
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

import click
import pytest

from helpers.commands import run_command, run_main
from helpers.paths import PRENORM
from helpers.terminal import written_to
from prenorm.cli.app import prenorm
from prenorm.cli.output import GROUPS
from prenorm.options import Section, flag_of, option_fields, option_of

COMMANDS = sorted(GROUPS)
PAGES = [(), *((name,) for name in COMMANDS)]
WIDTHS = [40, 60, 80, 100, 200]


def piped(*arguments: str, columns: int) -> str:
    """What a pipe gets where COLUMNS says so much."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as shown:
        patch.setenv("COLUMNS", str(columns))
        assert run_main(patch, *arguments, "--help") == 0
    return shown.getvalue()


def on_terminal(*arguments: str, columns: int) -> str:
    """What a terminal of that width gets."""
    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    with subprocess.Popen(
        [PRENORM, *arguments, "--help"], stdin=follower, stdout=follower, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        text = written_to(leader)
    assert process.returncode == 0
    return text.decode().replace("\r\n", "\n")


def sections(text: str) -> dict[str, str]:
    """The text below each heading."""
    parts = re.split(r"^(\S.*):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_its_section_with_default_and_choices(name: str) -> None:
    shown = sections(piped(name, columns=100))
    modes, output = GROUPS[name]
    items: dict[str, Any] = {}
    for group in (*modes.groups, output):
        for item in option_fields(group):
            items.setdefault(item.name, item)
    order = [heading for heading in shown if heading not in ("Arguments", "Examples")]
    assert order == [section.value for section in Section if section.value in order]
    for item in items.values():
        facts = option_of(item)
        text = " ".join(shown[facts.section.value].split())
        row = re.search(rf"(?<!\S){flag_of(item)} .*?(?= --|$)", text)
        assert row is not None, flag_of(item)
        assert all(part in text for part in (facts.help, facts.unset or "", ", ".join(facts.choices)))
    assert sum(len(re.findall(r"^  --", text, re.MULTILINE)) for text in shown.values()) == len(items)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_no_word_is_broken_and_no_line_too_long(page: tuple[str, ...], columns: int) -> None:
    shown, widest = piped(*page, columns=columns), piped(*page, columns=200)
    assert shown.split() == widest.split()
    lines = shown.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    # What cannot be broken: an example, and one word behind its indent.
    whole = [line for line in lines if len(line) > max(columns, 50) and len(line.split()) > 1]
    assert [line for line in whole if not line.startswith("  prenorm ")] == []
    assert columns < 60 or whole == []


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_a_terminal_gets_what_a_pipe_of_that_width_gets(page: tuple[str, ...], columns: int) -> None:
    assert on_terminal(*page, columns=columns) == piped(*page, columns=columns)


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_any_encoding_holds_it(page: tuple[str, ...]) -> None:
    done = run_command(*page, "--help", env={**os.environ, "COLUMNS": "60", "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, piped(*page, columns=60), "")


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_the_examples_are_two_and_can_be_typed(page: tuple[str, ...]) -> None:
    lines = sections(piped(*page, columns=60))["Examples"].split("\n")
    examples = [line.strip() for line in lines if line]
    assert len(examples) == 2
    for example in examples:
        program, name, *arguments = shlex.split(example.partition(" >")[0])
        assert program == "prenorm"
        assert not page or name in (page[0], "verify")
        command = prenorm.get_command(click.Context(prenorm), name)
        assert command is not None
        context = command.make_context(name, [*arguments])  # raises for what it cannot parse
        from prenorm.cli.parameters import groups_of

        groups_of(context)
        assert {word for word in arguments if not word.startswith("-")} <= {
            "checkpoint_best.pt", "golden.npz", "my-model", "my-name/my-model", "bash", "zsh", "checkpoints",
            "my-models", "4",
        }  # fmt: skip


def test_the_first_page_names_all_commands_and_exit_codes() -> None:
    shown = sections(piped(columns=60))
    assert re.findall(r"^  ([\w-]+)", shown["Commands"], re.MULTILINE) == list(prenorm.commands)
    assert re.findall(r"^  (\d+)", shown["Exit codes"], re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "130"]


@pytest.mark.parametrize("place", ["before", "behind", "both"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_all_commands_stand_before_or_behind(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["nowhere.pt"] if name in ("inspect", "completion") else ["nowhere.pt", "name/nowhere"]
    words = ["--debug", "--quiet", "--json"]
    before, behind = (words if place in (side, "both") else [] for side in ("before", "behind"))
    assert run_main(monkeypatch, *before, name, *arguments, *behind) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed and "No such option" not in printed


@pytest.mark.parametrize("flag", ["--task", "--head", "--dict", "--attention-heads"])
def test_an_option_without_its_value_is_an_error(flag: str, tmp_path: Path) -> None:
    done = run_command("inspect", "nowhere.pt", flag, cwd=tmp_path)
    assert (done.returncode, f"{flag}: requires an argument" in done.stderr) == (2, True), done.stderr
