"""A run converted by a real Slurm: the same folders, and what becomes of tasks that are killed, cancelled or left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import run_command, start_command
from helpers.forking import ForkedScript
from helpers.paths import BPE
from helpers.runs import RUN, STEPS, folders, run_here
from helpers.slurm import Cluster, why_there_is_none
from helpers.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_there_is_none()), reason=why_there_is_none())]
ONE = ("--match", "*_1_8.pt")  # one checkpoint, so one task


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One Slurm for all tests."""
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def call(output: Path, *arguments: str) -> list[str]:
    return ["convert-run", str(RUN), str(output), "--bpe-dir", str(BPE), *arguments]


def run(cluster: Cluster, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*call(output, *arguments), env=cluster.holding())


@contextmanager
def started(cluster: Cluster, output: Path, *arguments: str) -> Iterator[tuple[ForkedScript, Path]]:
    """The command while it waits for tasks that are held, and the file that gets what it says."""
    errors = output.with_suffix(".err")
    with errors.open("wb") as stderr:
        running = start_command(*call(output, "--slurm", *arguments), env=cluster.holding(), stderr=stderr.fileno())
    try:
        yield running, errors
    finally:
        running.send_signal(signal.SIGKILL)


def submissions(output: Path) -> list[dict[str, Any]]:
    path = output / "slurm" / "jobs.json"
    kept: list[dict[str, Any]] = json.loads(path.read_text())["submissions"] if path.exists() else []
    return [item for item in kept if item.get("job")]


def first_task(output: Path, number: int) -> str:
    """The first task of the submission of that number, once there is one."""
    wait_until(lambda: len(submissions(output)) > number, "a job")
    return f"{submissions(output)[number]['job']}_0"


def member(output: Path) -> dict[str, Any]:
    (only,) = json.loads((output / "run_report.json").read_text())["members"]
    return dict(only)


def test_an_array_makes_what_processes_here_make(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a run"
    done = run_command(*call(output, "--slurm", "--jobs", "2"), env=cluster.environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == "submitted job 1: 4 checkpoints in 2 tasks"
    assert done.stdout.endswith("4 checkpoints: 4 done\n")
    (job,) = submissions(output)
    assert job["tasks"] == {"0": STEPS[:2], "1": STEPS[2:]}
    assert "passed" in (output / "slurm" / f"{job['job']}_0.log").read_text()
    whole, _ = run_here(monkeypatch, RUN, tmp_path / "here")
    assert whole.passed and folders(output) == folders(tmp_path / "here")
    again = run_command(*call(output, "--slurm", "--jobs", "2"), env=cluster.environment)
    assert again.returncode == 0 and again.stderr == "" and len(submissions(output)) == 1


def test_a_killed_task_is_submitted_again_with_more_memory(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with started(cluster, output, "--match", "checkpoint_?_[18]*", "--jobs", "2") as (running, errors):
        task = first_task(output, 0)
        os.kill(cluster.started(task), signal.SIGKILL)
        second = first_task(output, 1)
        first, other = (item["request"]["memory"] for item in submissions(output))
        assert other == 2 * first
        assert f"step-000008: its task {task} was killed by SIGKILL; it is submitted again\n" in errors.read_text()
        # No more tasks run at a time than were asked for: the new array waits for the old one.
        old, new = task.partition("_")[0], second.partition("_")[0]
        assert cluster.run("squeue", "-h", "-o", "%E", "-j", new) == f"afterany:{old}_*(unfulfilled)"
        cluster.started(f"{old}_1")
        cluster.run("scancel", f"{old}_1")
        cluster.started(second)
        cluster.open(second)
        assert running.wait() == 1, errors.read_text()
    report = json.loads((output / "run_report.json").read_text())
    assert [item["state"] for item in report["members"]] == ["done", "failed"] and len(submissions(output)) == 2


def test_a_task_that_is_killed_each_time_is_given_up(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with started(cluster, output, *ONE) as (running, errors):
        for number in range(3):
            task = first_task(output, number)
            os.kill(cluster.started(task), signal.SIGKILL)
        assert running.wait() == 1, errors.read_text()
    assert len(submissions(output)) == 3
    assert member(output)["state"] == "failed"
    assert member(output)["cause"].startswith(f"checkpoint_1_8.pt: its task {task} was killed by SIGKILL")
    assert "with more memory: --sbatch --mem=..." in member(output)["advice"]


def test_a_cancelled_task_is_told_and_submitted_by_the_next_command_only(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with started(cluster, output, *ONE) as (running, errors):
        task = first_task(output, 0)
        cluster.started(task)
        cluster.run("scancel", task)
        assert running.wait() == 1, errors.read_text()
    assert member(output)["cause"].startswith(
        f"checkpoint_1_8.pt: its task {task} was cancelled; its log ends with: slurm"
    )
    assert "CANCELLED AT" in member(output)["cause"] and len(submissions(output)) == 1
    assert run(cluster, output, *ONE, "--slurm", "--no-wait").returncode == 0
    cluster.run("scancel", first_task(output, 1))


def test_jobs_go_on_without_the_command_and_the_nodes_daemon(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with started(cluster, output, *ONE) as (running, errors):
        task = first_task(output, 0)
        cluster.started(task)
        wait_until(lambda: "submitted job" in errors.read_text(), "the word of it")
        job = task.partition("_")[0]
        running.send_signal(signal.SIGINT)
        assert running.wait() == 130
        assert errors.read_text().endswith(
            f"Error: interrupted; job {job} goes on: the same command waits again, and `scancel {job}` cancels.\n"
        )
    status = run(cluster, output, *ONE, "--status", "--json")
    assert [item["cause"] for item in json.loads(status.stdout)["members"]] == [
        f"task {task} runs on {cluster.run('squeue', '-h', '-o', '%N', '-j', job)}"
    ]
    here = run(cluster, output, *ONE)
    assert here.returncode == 2 and f"tasks of Slurm convert it just now (job {job})" in here.stderr
    cluster.kill_node()
    cluster.start_node()
    with started(cluster, output, *ONE) as (one, _), started(cluster, output, *ONE) as (other, errors):
        later = run(cluster, output, *ONE, "--slurm", "--no-wait")
        assert later.returncode == 0 and later.stderr == ""
        assert "0 done" not in later.stdout and f"left: task {task} runs on" in later.stdout
        cluster.open(task)
        assert (one.wait(), other.wait()) == (0, 0), errors.read_text()
    assert len(submissions(output)) == 1 and member(output)["state"] == "done"


def test_commands_that_begin_together_submit_once(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    runs = [start_command(*call(output, *ONE, "--slurm", "--no-wait"), env=cluster.holding()) for _ in range(3)]
    assert [each.wait() for each in runs] == [0, 0, 0]
    (only,) = submissions(output)
    cluster.run("scancel", only["job"])


def test_what_slurm_refuses_is_one_error_with_its_sentence(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    refused = run(cluster, output, *ONE, "--slurm", "--sbatch", "--partition=nowhere")
    assert refused.returncode == 2 and refused.stderr == (
        "Error: sbatch: Slurm refuses the job: invalid partition specified: nowhere; Batch job submission failed: Invalid "
        "partition name specified. Change what --sbatch passes, and repeat the command.\n"
    )
    assert submissions(output) == []
    taken = run(
        cluster, output, *ONE, "--slurm", "--no-wait", "--sbatch", "--partition main", "--sbatch=--begin=now+1days"
    )
    assert taken.returncode == 0, taken.stderr
    assert "left: task" in taken.stdout and "is queued" in taken.stdout
    cluster.run("scancel", submissions(output)[0]["job"])


def test_a_job_whose_number_was_not_written_down_is_known_by_its_key(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    waiting = ("--slurm", "--no-wait", "--sbatch=--begin=now+1days")
    assert run(cluster, output, *ONE, *waiting).returncode == 0
    path = output / "slurm" / "jobs.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps({**before, "submissions": [{**before["submissions"][0], "job": None}]}))
    assert run(cluster, output, *ONE, *waiting).returncode == 0
    assert json.loads(path.read_text()) == before
    cluster.run("scancel", before["submissions"][0]["job"])
