"""A push that is ended from outside, and one of a file that is larger than the memory it may take."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from helpers.hub import Delay, Hub, Status, serve_hub
from helpers.hub.command import prenorm, starts, tell_no_secrets
from helpers.hub.pushing import OURS, on_disk, on_hub, publishable, untouched, write_report
from helpers.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow

REPO = "lab/model"
CODES = {"INT": 130, "TERM": 143, "KILL": -9}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize(
    ("phase", "done", "pull_request"),
    [
        ("lfs-upload", False, False),
        ("lfs-upload", False, True),
        ("commit", False, False),  # nobody could know of a pull request that is still to be opened
        ("commit", True, False),
        ("commit", True, True),
    ],
)
def test_the_next_command_finishes_what_was_interrupted(
    name: str, phase: str, done: bool, pull_request: bool, hub: Hub, tmp_path: Path
) -> None:
    folder, home = publishable(tmp_path / "folder"), tmp_path / "home"
    before = untouched(folder)
    hub.seed(REPO, {})
    hub.faults.add(phase, Delay(600 if done or phase != "commit" else 1, after=done))
    command = ["push", folder, REPO, *(["--pull-request"] if pull_request else [])]
    running = starts(hub, home, *command)

    def at_the_phase() -> bool:
        assert running.poll() is None
        return not hub.faults.pending() and (not done or _arrived(hub, pull_request))

    wait_until(at_the_phase, f"the request of {phase}")
    running.send_signal(getattr(signal, f"SIG{name}"))
    told = "".join(running.communicate(timeout=PATIENCE))
    assert running.returncode == CODES[name]
    assert "Traceback" not in told
    if name != "KILL":
        assert f"interrupted; {folder} is untouched, and `prenorm push` finishes the job." in told
    tell_no_secrets(told)
    hub.faults.clear()
    assert prenorm(hub, home, *command).returncode == 0
    where = "refs/pr/1" if pull_request else "main"
    assert on_hub(hub, REPO, where) == on_disk(folder) and untouched(folder) == before
    if phase == "commit" and not done:
        wait_until(lambda: any(logged.fault for logged in hub.log), "the late commit")
    assert [commit.title for commit in hub.commits(REPO, where)].count(OURS) == 1
    assert len(hub.pull_requests(REPO)) == pull_request


def _arrived(hub: Hub, pull_request: bool) -> bool:
    return bool(hub.pull_requests(REPO)) if pull_request else len(hub.commits(REPO)) > 1


def test_a_huge_file_goes_up_in_parts_and_little_memory(tmp_path: Path) -> None:
    folder = publishable(tmp_path / "folder")
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(640 << 20)
    write_report(folder)
    with serve_hub(tmp_path / "state", part_size=32 << 20) as hub:
        hub.faults.add("lfs-upload", Status(503), at=5)
        running = starts(hub, tmp_path / "home", "push", folder, REPO)
        # Of its own life: ru_maxrss would begin with what the process that forked it had.
        most, peak = re.compile(r"VmHWM:\s+(\d+) kB"), 0
        while running.poll() is None:
            found = most.search(Path(f"/proc/{running.pid}/status").read_text())
            peak = max(peak, int(found[1])) if found else peak
            time.sleep(0.005)
        assert running.returncode == 0
        assert 0 < peak < 200 << 10  # KiB
        entry = hub.commits(REPO)[0].files["model.safetensors"]
        assert entry.lfs and entry.size == 640 << 20
        assert not hub.faults.pending() and len(hub.requests("lfs-complete")) == 1


def test_a_signed_address_is_not_told_even_in_a_traceback(hub: Hub, tmp_path: Path) -> None:
    folder = publishable(tmp_path / "folder")
    hub.faults.add("lfs-upload", Status(403), times=None)
    done = prenorm(hub, tmp_path / "home", "--debug", "push", folder, REPO)  # looks for secrets by itself
    assert done.returncode == 5 and "Traceback" in done.stderr and "?[...]" in done.stderr
