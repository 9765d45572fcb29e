"""All or nothing: killed, raced, or failed, OUTPUT is absent, or the old one, or the complete new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BPE, MLM, run_command

from converter import staging
from converter.errors import UsageProblem
from converter.staging import check_output, publish, staging_folder

COMPLETE = {
    "README.md", "config.json", "model.safetensors", "parity_report.json", "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip


def start(output: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("prenorm")), "convert", str(MLM), str(output), "--bpe-dir", str(BPE)]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        # A shell starts its background jobs with SIGINT ignored, and the tests may be one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def clear(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.unlink()
    folder.rmdir()


@pytest.mark.slow
def test_kill_at_any_moment_leaves_no_half_folder(tmp_path: Path) -> None:
    """Killed before there is a staging folder, and at growing delays after it appeared, up to and past publication."""
    output = tmp_path / "out"
    interrupted = 0
    for delay in (-0.4, -0.2, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.2):
        leftovers = set(tmp_path.iterdir())
        process = start(output)
        if delay < 0:
            time.sleep(-delay)
        else:
            while process.poll() is None and set(tmp_path.iterdir()) <= leftovers:
                time.sleep(0.005)
            time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if output.exists():
            assert {entry.name for entry in output.iterdir()} == COMPLETE
            clear(output)
        else:
            interrupted += 1
    assert interrupted >= 3
    assert run_command("convert", MLM, output, "--bpe-dir", BPE, "--quiet").returncode == 0
    # The next run also clears away what the killed ones left behind.
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert {entry.name for entry in output.iterdir()} == COMPLETE


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path / "out")
    deadline = time.monotonic() + 30
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
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
        monkeypatch.setattr(staging, "_renameat2", lambda *args: False)
    output = make(tmp_path / "out", "old")
    new = make(tmp_path / "staging", "new")
    publish(new, output, overwrite=True)
    assert ((output / "config.json").read_text(), (new / "config.json").read_text()) == ("new", "old")


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("empty", [True, False])
def test_publish_never_replaces_what_appeared_meanwhile(
    tmp_path: Path, atomic: bool, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not atomic:
        monkeypatch.setattr(staging, "_renameat2", lambda *args: False)
    output = tmp_path / "out"
    if empty:
        output.mkdir()
    else:
        make(output, "theirs")
    new = make(tmp_path / "staging", "ours")
    with pytest.raises(UsageProblem, match="while the conversion ran"):
        publish(new, output, overwrite=False)
    assert [entry.read_text() for entry in output.iterdir()] == ([] if empty else ["theirs"])


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """The file-size limit stands in for a full disk: the write itself fails."""
    script = f"ulimit -f 200; exec {Path(sys.executable).with_name('prenorm')} convert {MLM} {tmp_path / 'out'}"
    done = subprocess.run(["bash", "-c", "trap '' XFSZ; " + script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("Error:") == 1
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


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
