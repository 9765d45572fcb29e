"""Worker processes: several at a time, one that is killed, and a command that is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from helpers.paths import BPE, PRENORM
from helpers.runs import RUN, STEPS, at_updates, changed_checkpoint, copy_run, folders, run_here
from helpers.waiting import PATIENCE
from prenorm import convert_run
from prenorm.commands.run import resources
from prenorm.commands.run.plan import Member, Reading, SourceFile, read_plan
from prenorm.commands.run.workers import _Pool
from prenorm.progress import OneBar, Silent


def member_of(gigabytes: float) -> Member:
    reading = Reading(weight_bytes=int(gigabytes * 1e9))
    return Member(name="a", checkpoint="a.pt", files=(SourceFile("a.pt", 1, 1),), reading=reading)


def test_jobs_are_as_many_as_cores_memory_and_members_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cores", lambda: 8)
    for free, members, expected in (
        (None, [member_of(1)] * 20, 8),
        (1 << 40, [member_of(1)] * 3, 3),
        (10 << 30, [member_of(1)] * 20, 4),
        (10 << 30, [member_of(1), member_of(5)] * 5, 1),
        (1 << 20, [member_of(1)] * 20, 1),
        (1 << 40, [], 1),
    ):
        monkeypatch.setattr(resources, "free_memory", lambda free=free: free)
        assert resources.usual_jobs(members) == expected


class KillsOne(OneBar):
    """Kills the worker that is about to get a certain member; keeps what became of all."""

    def __init__(self, name: str) -> None:
        super().__init__(Silent())
        self._name = name
        self.words: dict[str, str] = {}

    def member(self, name: str) -> Silent:
        if name == self._name:
            os.kill(max(children()), signal.SIGKILL)
        return Silent()

    def ended(self, name: str, words: str) -> None:
        self.words[name] = words


def children() -> list[int]:
    lines = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [int(line.split()[0]) for line in lines.stdout.splitlines() if "prenorm.commands.run.worker" in line]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker as Linux lists processes")
def test_a_killed_worker_takes_one_member_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = KillsOne(STEPS[1])
    report = convert_run(RUN, tmp_path / "out", bpe_dir=BPE, jobs=1, progress=listener)
    assert [member.state for member in report.members] == ["done", "failed", "done", "done"]
    assert listener.words == {name: "failed" if name == STEPS[1] else "passed" for name in STEPS}
    failed = report.member(STEPS[1])
    assert failed.cause == (
        "checkpoint_2_16.pt: the process that converted it ended without a word (killed by SIGKILL), as one does that the "
        "system ends for want of memory"
    )
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert failed.advice == "It needs about 0.5 GB; repeat the command with a smaller jobs"
    # Repeated, the command converts what the killed worker did not.
    again, converted = run_here(monkeypatch, RUN, tmp_path / "out")
    assert again.passed and converted == [STEPS[1]]
    whole, _ = run_here(monkeypatch, RUN, tmp_path / "whole")
    assert whole.passed and folders(tmp_path / "out") == folders(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_command_that_ends_early_leaves_no_worker_and_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    run, output = copy_run(tmp_path / "run"), tmp_path / "out"
    for updates in range(100, 112):  # so that there is enough left to do when the signal comes
        shutil.copy(run / "checkpoint_1_8.pt", run / f"checkpoint_7_{updates}.pt")
        changed_checkpoint(run / f"checkpoint_7_{updates}.pt", lambda state: at_updates(state, updates))  # noqa: B023
    command = [PRENORM, "convert-run", run, output, "--bpe-dir", BPE, "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        while "(1/16)" not in line:
            assert line
            line = running.stderr.readline()
        running.send_signal(number)
        rest = running.stderr.read()  # ends once no process holds it: the worker has it, too
        assert running.wait(PATIENCE) == code
    if number == signal.SIGINT:
        assert rest.endswith(
            "Error: interrupted; what is done stays done, and the same command goes on with the rest.\n"
        )
    assert not [path for path in output.iterdir() if path.name.startswith(".")]
    before = {path.name: path.stat().st_ino for path in output.glob("step-*")}
    report, converted = run_here(monkeypatch, run, output, match="*_[123]_*")
    assert report.passed and 1 <= len(before) < 16
    assert converted == [name for name in STEPS if name not in before]
    assert {name: (output / name).stat().st_ino for name in before} == before


def test_a_worker_that_died_behind_its_last_step_has_done_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    run_here(monkeypatch, RUN, output, match="*_1_8.pt")
    plan = read_plan(output)
    assert plan is not None
    pool = _Pool(plan, [], output, OneBar(Silent()))
    assert pool._last_of(plan.members[0], -signal.SIGKILL).verdict == "passed"
    shutil.rmtree(output / STEPS[0])
    (output / f".{STEPS[0]}.prenorm-staging-1").mkdir()
    problem = pool._last_of(plan.members[0], -signal.SIGKILL).problem
    assert problem is not None and "killed by SIGKILL" in problem.cause
    assert not (output / f".{STEPS[0]}.prenorm-staging-1").exists()
    assert (output / "members" / f"{STEPS[0]}.failed.json").exists()
    other = structs.replace(plan, run=str(tmp_path))
    problem = pool._last_of(plan.members[0], 1).problem
    assert problem is not None and "(exit code 1)" in problem.cause
    problem = _Pool(other, [], output, OneBar(Silent()))._last_of(plan.members[0], 1).problem
    assert problem is not None and problem.cause == "it vanished before it was converted"
