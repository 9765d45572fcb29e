"""Progress: bars of work that takes long, on a terminal; none of what is over at once, with --quiet, or in a pipe."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.commands import run_changed, run_command, start_changed
from helpers.hub import Hub, serve_hub
from helpers.hub.command import WRITER, environment
from helpers.paths import MLM
from helpers.terminal import written_to
from helpers.waiting import PATIENCE
from prenorm.hub.transfer import counted_in

AT_ONCE, NEVER = {"prenorm.cli.bars._DELAY": 0}, {"prenorm.cli.bars._DELAY": 1e6}


def on_terminal(changed: dict[str, Any], *arguments: str | Path, **more: str) -> str:
    """What the command writes to stderr if that is a terminal."""
    leader, follower = pty.openpty()
    terminal = {"TERM": "xterm", "COLUMNS": "100"}
    command = start_changed(changed, *arguments, stderr=follower, env={**os.environ, **more, **terminal})
    os.close(follower)
    written = written_to(leader)
    assert command.wait() == 0, written
    return written.decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("made")
    assert run_command("convert", MLM, folder / "out", "--quiet").returncode == 0
    assert run_command("record", MLM, folder / "golden.npz", "--quiet").stdout == ""
    return SimpleNamespace(out=folder / "out", golden=folder / "golden.npz")


CALLS = {
    "convert": ("Writing", lambda made, new: ["convert", MLM, new / "out"]),
    "record": ("Recording", lambda made, new: ["record", MLM, new / "golden.npz"]),
    "verify": ("Proving", lambda made, new: ["verify", MLM, made.out]),
    "verify by a golden file": ("Proving", lambda made, new: ["verify", made.out, "--golden", made.golden]),
}


@pytest.mark.parametrize("case", CALLS)
def test_long_work_is_shown_on_a_terminal(case: str, made: SimpleNamespace, tmp_path: Path) -> None:
    stage, arguments = CALLS[case]
    assert stage in on_terminal(AT_ONCE, *arguments(made, tmp_path))


@pytest.mark.parametrize("case", CALLS)
def test_what_is_over_at_once_shows_nothing(case: str, made: SimpleNamespace, tmp_path: Path) -> None:
    shown = on_terminal(NEVER, *CALLS[case][1](made, tmp_path))
    assert [line for line in shown.splitlines() if "Warning:" not in line] == []


@pytest.mark.parametrize("case", CALLS)
def test_quiet_shows_nothing(case: str, made: SimpleNamespace, tmp_path: Path) -> None:
    assert on_terminal(AT_ONCE, *CALLS[case][1](made, tmp_path), "--quiet") == ""


@pytest.mark.parametrize("case", CALLS)
def test_a_pipe_gets_no_bars(case: str, made: SimpleNamespace, tmp_path: Path) -> None:
    stage, arguments = CALLS[case]
    done = run_changed(AT_ONCE, *arguments(made, tmp_path))
    assert (done.returncode, stage in done.stderr, "━" in done.stderr) == (0, False, False)


def test_inspecting_is_over_at_once() -> None:
    assert on_terminal(AT_ONCE, "inspect", MLM) == ""


@pytest.fixture
def hub(tmp_path: Path) -> Any:
    with serve_hub(tmp_path / "state") as served:
        yield served


def test_downloads_and_uploads_are_shown_and_only_once(hub: Hub, made: SimpleNamespace, tmp_path: Path) -> None:
    hub.seed("lab/training", {"checkpoint.pt": MLM.read_bytes()})
    surroundings = environment(hub, tmp_path / "home", WRITER)
    address = "hf://lab/training/checkpoint.pt"
    assert on_terminal(AT_ONCE, "inspect", address, "--quiet", **surroundings) == ""
    surroundings = environment(hub, tmp_path / "other home", WRITER)
    assert "Downloading" in on_terminal(AT_ONCE, "inspect", address, **surroundings)
    assert on_terminal(AT_ONCE, "inspect", address, **surroundings) == ""  # it is in the cache
    shown = on_terminal(AT_ONCE, "push", made.out, "lab/new", **surroundings)
    assert "Checking" in shown and "Uploading" in shown


def test_the_bytes_of_a_download_are_counted(hub: Hub, tmp_path: Path) -> None:
    hub.seed("lab/training", {"checkpoint.pt": MLM.read_bytes(), "dict.txt": MLM.with_name("dict.txt").read_bytes()})
    program = (
        "import json\n"
        "from prenorm.hub import RetryPolicy, find_checkpoint, hub_file\n"
        "class Counting:\n"
        "    total = counted = 0\n"
        "    def stage(self, name, total): self.total += total\n"
        "    def advance(self, steps): self.counted += steps\n"
        "    def warn(self, text): raise SystemExit(text)\n"
        "progress = Counting()\n"
        "for _ in range(2):\n"
        "    file = hub_file('hf://lab/training/checkpoint.pt')\n"
        "    is_dictionary = lambda name: name == 'dict.txt'\n"
        "    find_checkpoint(file, lambda name: False, is_dictionary, RetryPolicy(attempts=3), progress, whole=True)\n"
        "print(json.dumps([progress.total, progress.counted]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE,
        env=environment(hub, tmp_path / "home", WRITER),
    )  # fmt: skip
    size = MLM.stat().st_size + MLM.with_name("dict.txt").stat().st_size
    assert (json.loads(done.stdout), done.stderr) == ([size, size], "")


def test_of_two_bars_the_farther_one_counts_and_a_second_try_counts_nothing_twice() -> None:
    steps: list[int] = []
    progress = SimpleNamespace(advance=steps.append)
    bar = counted_in(progress)["tqdm_class"]  # type: ignore[arg-type]
    with bar(total=10, desc="transferred", name="x") as transferred, bar(total=10, desc="put together") as written:
        for first, second in ((4, 0), (2, 5), (4, 5)):
            transferred.update(first)
            written.update(second)
    assert sum(steps) == 10
    with bar(total=10, initial=6) as again:
        again.update(4)
    assert sum(steps) == 10
