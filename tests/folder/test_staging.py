"""All or nothing, part by part, and with the installed command; `test_crash.py` does it at every step."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.commands import run_command, run_main, start_command
from helpers.forking import ForkedScript
from helpers.paths import BPE, MLM, PRENORM
from helpers.waiting import PATIENCE, wait_until
from prenorm.errors import UsageProblem
from prenorm.folder import filesystem, staging
from prenorm.folder.filesystem import alone_in, lock_folder
from prenorm.folder.staging import check_not_set_aside, check_output, publish, staging_folder

COMPLETE = {
    "README.md", "config.json", "model.safetensors", "parity.png", "parity_report.json", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip


def start(output: Path, *options: str) -> ForkedScript:
    return start_command("convert", MLM, output, "--bpe-dir", BPE, *options)


def clear(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.unlink()
    folder.rmdir()


def _is_there(output: Path, name: str, killed: set[Path]) -> bool:
    """Whether OUTPUT is there, or what is called `name` in the staging folder of the run that goes on."""
    staging_folders = set(output.parent.glob(".out.prenorm-staging-*")) - killed
    return output.exists() if name == "out" else any(Path(f"{folder}{name}").exists() for folder in staging_folders)


@pytest.mark.slow
def test_kill_at_any_moment_leaves_no_half_folder(tmp_path: Path) -> None:
    """Killed when it starts, when the staging folder appears and then its files one after another, and when OUTPUT does."""
    output = tmp_path / "out"
    interrupted = 0
    for appears in (None, "", "/model.safetensors", "/tokenizer.json", "/parity.png", "out"):
        killed = set(tmp_path.glob(".out.prenorm-staging-*"))
        process = start(output)
        if appears is not None:
            wait_until(lambda: process.poll() is not None or _is_there(output, appears, killed))  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
        if output.exists():
            assert {entry.name for entry in output.iterdir()} == COMPLETE
            clear(output)
        else:
            interrupted += 1
    assert interrupted >= 2
    assert run_command("convert", MLM, output, "--bpe-dir", BPE, "--quiet").returncode == 0
    # The next run also clears away what the killed ones left behind.
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert {entry.name for entry in output.iterdir()} == COMPLETE


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path / "out")
    wait_until(lambda: any(tmp_path.iterdir()), "a staging folder")
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert list(tmp_path.iterdir()) == []


def test_leftovers_go_and_running_conversions_stay(tmp_path: Path) -> None:
    output = tmp_path / "out"
    leftover = tmp_path / ".out.prenorm-staging-dead"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    other = tmp_path / ".other.prenorm-staging-dead"
    other.mkdir()
    with staging_folder(output) as first:
        assert not leftover.exists()
        with staging_folder(output) as second:
            assert first.exists()
            assert first != second
    assert [entry.name for entry in tmp_path.iterdir()] == [other.name]


def make(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize("atomic", [True, False])
def test_publish_replaces_in_one_step(tmp_path: Path, atomic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not atomic:
        monkeypatch.setattr(filesystem, "_renameat2", lambda *args: False)
    output = make(tmp_path / "out", "old")
    new = make(tmp_path / "staging", "new")
    publish(new, output, overwrite=True)
    assert (output / "config.json").read_text() == "new"
    # Swapped, the old one goes with the staging folder; set aside, it goes at once.
    assert [(entry.name, (entry / "config.json").read_text()) for entry in sorted(tmp_path.iterdir())] == [
        ("out", "new"),
        *([("staging", "old")] if atomic else []),
    ]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("empty", [True, False])
def test_publish_never_replaces_what_appeared_meanwhile(
    tmp_path: Path, atomic: bool, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not atomic:
        monkeypatch.setattr(filesystem, "_renameat2", lambda *args: False)
    output = tmp_path / "out"
    if empty:
        output.mkdir()
    else:
        make(output, "theirs")
    new = make(tmp_path / "staging", "ours")
    with pytest.raises(UsageProblem, match="while the conversion ran"):
        publish(new, output, overwrite=False)
    assert [entry.read_text() for entry in output.iterdir()] == ([] if empty else ["theirs"])


@pytest.mark.slow
def test_files_that_may_not_grow_leave_nothing(tmp_path: Path) -> None:
    script = f"ulimit -f 200; exec {PRENORM} convert {MLM} {tmp_path / 'out'}"
    done = subprocess.run(["bash", "-c", "trap '' XFSZ; " + script], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr.count("Error:") == 1
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failed_swap_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_renameat2", lambda *args: False)
    output = make(tmp_path / "out", "old")
    new = make(tmp_path / "staging", "new")
    meant = Path.rename

    def rename(old: Path, target: Path) -> Path:
        if old == new:
            raise PermissionError(13, "Permission denied")
        return meant(old, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PermissionError):
        publish(new, output, overwrite=True)
    assert {entry.name: (entry / "config.json").read_text() for entry in tmp_path.iterdir()} == {
        "out": "old",
        "staging": "new",
    }


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_stands_aside_comes_back_before_anything_else(tmp_path: Path, overwrite: bool) -> None:
    """As a run leaves it that was killed between its two renames."""
    make(tmp_path / ".out.prenorm-old-dead", "old")
    if overwrite:
        check_output(tmp_path / "out", overwrite=True, inputs=[])
    else:
        with pytest.raises(UsageProblem, match="exists already"):
            check_output(tmp_path / "out", overwrite=False, inputs=[])
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "config.json").read_text() == "old"


@pytest.mark.parametrize("command", [("verify", MLM), ("verify",), ("push",), ("inspect",)])
def test_who_reads_a_folder_that_was_set_aside_is_told_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str | Path, ...]
) -> None:
    """As a run leaves it that was killed between its two renames; `run/out` could be a repo's name, too."""
    make(tmp_path / "run", "")
    aside = make(tmp_path / "run" / ".out.prenorm-old-dead", "old")
    monkeypatch.chdir(tmp_path)
    verb, *before = command
    after = {"verify": [] if before else ["--folder-only"], "push": ["org/name"]}.get(str(verb), [])
    assert run_main(monkeypatch, verb, *before, "run/out", *after) == 2
    assert capsys.readouterr().err == (
        f"Error: run/out: is missing: prenorm convert was killed while it replaced the folder, and the old one is {aside}. "
        "Run that prenorm convert again, or rename the old folder back.\n"
    )
    assert aside.is_dir()


def test_a_folder_that_is_being_replaced_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / ".out.prenorm-old-alive", "old")

    def replaced(seconds: float) -> None:
        make(tmp_path / "out", "new")
        os.close(lock)

    lock = lock_folder(tmp_path)
    assert lock is not None
    monkeypatch.setattr(time, "sleep", replaced)
    check_not_set_aside(tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_text() == "new"


def test_a_folder_that_never_was_is_not_looked_for(tmp_path: Path) -> None:
    make(tmp_path / ".other.prenorm-old-dead", "old")
    check_not_set_aside(tmp_path / "out")
    check_not_set_aside(tmp_path / "missing" / "out")


def test_what_appeared_meanwhile_and_is_no_model_is_not_replaced(tmp_path: Path) -> None:
    new = make(tmp_path / "staging", "new")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageProblem, match="holds no model"):
        publish(new, tmp_path / "out", overwrite=True)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_a_folder_taken_for_a_leftover_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may look for leftovers just between the making and the locking of ours."""
    taken: list[Path] = []

    def lock(folder: Path) -> int | None:
        if len(taken) < 3:
            taken.append(folder)
            if len(taken) == 1:  # it holds the lock and is about to remove the folder
                raise BlockingIOError
            handle = lock_folder(folder) if len(taken) == 2 else None
            folder.rmdir()  # it has removed the folder, while we opened it or before
            if handle is not None:
                return handle
        return lock_folder(folder)

    monkeypatch.setattr(staging, "lock_folder", lock)
    with staging_folder(tmp_path / "out") as folder:
        assert folder.is_dir()
        assert len({*taken, folder}) == 4


def test_who_holds_a_lock_for_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with alone_in(tmp_path), alone_in(tmp_path):
        pass
    assert 59 <= sum(waits) <= 61


def test_folders_beyond_reach(tmp_path: Path) -> None:
    """No folder to go into, a name that is too long, a file where a leftover's name would be."""
    with pytest.raises(UsageProblem, match="does not exist"):
        check_output(tmp_path / "missing" / "out", overwrite=False, inputs=[])
    with pytest.raises(UsageProblem, match="cannot be made"), staging_folder(tmp_path / ("o" * 250)):
        pass
    stranger = tmp_path / ".out.prenorm-staging-notes.txt"
    stranger.write_text("mine")
    with staging_folder(tmp_path / "out"):
        assert stranger.read_text() == "mine"


def test_output_that_is_a_link_is_not_replaced(tmp_path: Path) -> None:
    real = make(tmp_path / "real", "mine")
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(UsageProblem, match="no folder"):
        check_output(tmp_path / "link", overwrite=True, inputs=[])
    assert (real / "config.json").read_text() == "mine"


def test_umask_is_kept_for_the_folder(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with staging_folder(tmp_path / "out") as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
