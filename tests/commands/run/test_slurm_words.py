"""What is asked of Slurm, and what its answers mean: the parts that need no Slurm."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from helpers.commands import run_command
from helpers.paths import BPE
from helpers.runs import RUN, STEPS
from prenorm.commands.run.plan import Member, Reading, RunPlan, SourceFile
from prenorm.commands.run.slurm import client, jobs, script
from prenorm.commands.run.slurm.client import ArrayTask, State
from prenorm.commands.run.slurm.ends import End, end_of, next_request, problem_of
from prenorm.commands.run.slurm.jobs import Jobs, Request, Submission
from prenorm.errors import UsageProblem

GIVEN = Request(600, 11)


def member_of(gigabytes: float, name: str = "step-000008") -> Member:
    size = int(gigabytes * 1e9)
    reading = Reading(weight_bytes=size // 3)
    return Member(name=name, checkpoint="a.pt", files=(SourceFile("a.pt", size, 1),), reading=reading)


def plan_of(*members: Member) -> RunPlan:
    return RunPlan(prenorm="1", run="/a run", match="*.pt", options={}, inputs={}, threads=3, members=members)


def test_small_members_share_a_task_and_large_ones_do_not() -> None:
    def sizes(gigabytes: float, number: int, limit: int | None, most: int = 1001) -> list[int]:
        return list(map(len, script.divided([member_of(gigabytes)] * number, limit, most)))

    assert sizes(0.001, 154, None) == [23] * 6 + [16]
    assert sizes(0.001, 4, 2) == [2, 2]
    assert sizes(0.001, 4, 100) == [1] * 4
    assert sizes(4, 3, None) == [1] * 3
    assert sizes(4, 30, None, most=10) == [3] * 10  # more than an array may have
    assert sizes(4, 0, None) == []


def test_memory_and_time_grow_with_the_members() -> None:
    small, large = script.request_of([member_of(0.001)]), script.request_of([member_of(6)])
    assert small == Request(600, 11) and large == Request(4400, 27)
    assert script.request_of([member_of(6)] * 3) == Request(4400, 59)


def test_the_script_is_plain_and_each_task_one_command(tmp_path: Path) -> None:
    names = {"0": ["step-000008", "step-000016"], "1": ["step-000024"]}
    plan = plan_of(*(member_of(1, name) for name in STEPS))
    text = script.array_script(plan, Path("/out put/5%"), names, GIVEN, "key", ["-p", "short"], "0-1%2")
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("#SBATCH")] == [
        "#SBATCH --job-name=prenorm", "#SBATCH --comment=key", "#SBATCH --array=0-1%2",
        '#SBATCH --output="/out put/5%%/slurm/%A_%a.log"', "#SBATCH --open-mode=append", "#SBATCH --mem=600M",
        "#SBATCH --time=11", "#SBATCH --cpus-per-task=3", "#SBATCH --requeue",
    ]  # fmt: skip
    assert "# Converts 3 of the 4 checkpoints of /a run" in lines
    # By hand it is run as any script is; `exec` shows the command in place of prenorm's.
    (tmp_path / "array.sh").write_text(text.replace("exec ", "printf '%s\\n' "))
    done = subprocess.run(["bash", "array.sh", "0"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-6:] == ["/a run", "/out put/5%", "--member", STEPS[0], "--member", STEPS[1]]
    assert subprocess.run(["bash", "array.sh", "2"], cwd=tmp_path, capture_output=True).returncode == 2


@pytest.mark.parametrize("words", [["--mem-per-cpu=2G"], ["--mem", "2G"], ["--time=1"], ["-t1"], ["-c", "4"]])
def test_what_the_user_passes_is_not_said_by_the_script(words: list[str]) -> None:
    def said(words: list[str]) -> set[str]:
        plan = plan_of(member_of(1))
        text = script.array_script(plan, Path("/o"), {"0": ["step-000008"]}, GIVEN, "key", words, "0-0")
        return {line.split("=")[0] for line in text.splitlines() if line.startswith("#SBATCH")}

    option = {"--mem": "--mem", "--ti": "--time", "-t": "--time", "-c": "--cpus-per-task"}
    expected = next(name for start, name in option.items() if words[0].startswith(start))
    assert said([]) - said(words) == {f"#SBATCH {expected}"}


def test_threads_are_as_many_as_cores_are_asked_for() -> None:
    for arguments, threads in (
        ([], 1), (["-c4"], 4), (["-c", "4"], 4), (["-p a -c 8"], 8), (["--cpus-per-task=2"], 2), (["--cpus-per-task 2"], 2),
    ):  # fmt: skip
        assert script.threads_of(arguments) == threads


@pytest.mark.parametrize("argument", ["--array=0-3", "-a1", "--output=log", "-e log", "--wrap=x", "-Mother", "--wait"])
def test_what_prenorm_needs_for_itself_is_refused(argument: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        client.check_arguments(["--partition=a", argument])
    assert refused.value.cause == "it is set by prenorm itself" and argument.split()[0] in str(refused.value.subject)
    client.check_arguments(["--partition=a", "-A account", "--account", "a", "--mem=1G", "--time=1"])
    with pytest.raises(UsageProblem, match="No closing quotation"):
        client.check_arguments(["--comment='a"])


ENDS = {
    "killed": (State.FAILED, -9, Request(1200, 11), "was killed by SIGKILL"),
    "killed in a shell": (State.FAILED, 137, Request(1200, 11), "was killed by SIGKILL"),
    "terminated": (State.FAILED, -15, GIVEN, "was killed by SIGTERM"),
    "memory": (State.OUT_OF_MEMORY, None, Request(1200, 11), "needed more memory than it was given (600 MB)"),
    "time": (State.TIMEOUT, None, Request(600, 22), "took longer than it was given (11 minutes)"),
    "cancelled": (State.CANCELLED, None, None, "was cancelled"),
    "pre-empted": (State.LOST, None, GIVEN, "was lost: its node failed, or another job took its place"),
    "no such command": (State.FAILED, 127, None, "ended with exit code 127"),
    "forgotten": (State.UNKNOWN, None, GIVEN, "ended without a word"),
    "nothing there": (State.COMPLETED, None, GIVEN, "ended, and what it was to make is not there"),
}


@pytest.mark.parametrize("name", ENDS)
def test_another_try_gets_twice_of_what_was_too_little(name: str, tmp_path: Path) -> None:
    state, code, after, words = ENDS[name]
    end = End("12_3", state, code, tmp_path / "12_3.log", "the last line", GIVEN)
    assert next_request(end, ["--partition=a"]) == after
    problem = problem_of(end, member_of(1))
    assert problem.sentence == f"a.pt: its task 12_3 {words}; its log ends with: the last line"
    assert str(end.log) in problem.advice


def test_what_the_user_sets_is_not_doubled(tmp_path: Path) -> None:
    memory = End("1_0", State.OUT_OF_MEMORY, None, tmp_path, "", GIVEN)
    late = End("1_0", State.TIMEOUT, None, tmp_path, "", GIVEN)
    assert next_request(memory, ["--mem=1G"]) is None and next_request(late, ["-t", "5"]) is None
    assert next_request(memory, ["-t5"]) == Request(1200, 11) and next_request(late, ["--mem=1G"]) == Request(600, 22)


LOGS = {
    "slurmstepd: error: *** JOB 12 ON a CANCELLED AT 2026-12-01T01:53:33 DUE TO TIME LIMIT ***": State.TIMEOUT,
    "slurmstepd: error: *** JOB 12 ON a CANCELLED AT 2026-12-01T01:53:33 DUE TO PREEMPTION ***": State.LOST,
    "slurmstepd: error: *** JOB 12 ON a CANCELLED AT 2026-12-01T01:53:33 ***": State.CANCELLED,
    "slurmstepd: error: Detected 1 oom_kill event in StepId=12.batch. Some of the step": State.OUT_OF_MEMORY,
    "step-000008: passed": State.UNKNOWN,
}


@pytest.mark.parametrize("line", LOGS)
def test_the_log_tells_of_a_task_that_slurm_has_forgotten(line: str, tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    jobs.log_path(tmp_path, "12", "3").write_text(f"Warning: x\n{line}\x1b[0m\n\n")
    end = end_of(tmp_path, "12", "3", None, GIVEN)
    assert (end.state, end.last_line) == (LOGS[line], line + "\\x1b[0m")
    assert (
        end_of(tmp_path, "12", "3", ArrayTask("12", "3", State.LOST), GIVEN).state is State.LOST
    )  # Slurm knows better
    assert end_of(tmp_path, "12", "4", None, GIVEN).last_line == ""


def test_one_command_at_a_time_submits_and_a_killed_one_stops_none(tmp_path: Path) -> None:
    def held_by(text: str) -> bool:
        (tmp_path / "slurm").mkdir(exist_ok=True)
        path = tmp_path / "slurm" / "submitting"
        path.write_text(text)
        try:
            return not jobs._is_stale(path, path.parent)
        finally:
            path.unlink()

    here, dead = socket.gethostname(), subprocess.Popen(["true"])
    dead.wait()
    assert held_by(f"{here} {os.getpid()}\n") and held_by(f"another {dead.pid}\n") and held_by("")
    assert not held_by(f"{here} {dead.pid}\n")
    path = tmp_path / "slurm" / "submitting"
    path.write_text("another 1\n")
    os.utime(path, (1, 1))
    with jobs.alone(tmp_path):  # what is older than any command takes is removed
        assert path.read_text() == f"{here} {os.getpid()}\n"
        assert not jobs._made(path)
    assert [item.name for item in path.parent.iterdir()] == []


def test_jobs_are_kept_as_plain_json(tmp_path: Path) -> None:
    one = Submission(key="k", job="7", request=GIVEN, tasks={"0": (STEPS[0],)})
    (tmp_path / "slurm").mkdir()
    jobs.write_jobs(tmp_path, Jobs(submissions=(one, structs.replace(one, key="l", job="8", ended=True))))
    assert jobs.open_jobs(tmp_path) == ["7"]
    (tmp_path / "slurm" / "jobs.json").write_text("{")
    with pytest.raises(UsageProblem, match="is no list of jobs"):
        jobs.read_jobs(tmp_path)


def test_without_slurm_there_is_one_error(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    refused = run_command("convert-run", RUN, tmp_path / "out", "--bpe-dir", BPE, "--slurm", env=environment)
    assert refused.returncode == 2 and not (tmp_path / "out").exists()
    assert refused.stderr == (
        "Error: --slurm needs Slurm's commands, and sbatch, squeue, scontrol, scancel cannot be found on this machine. "
        "Run the command where jobs are submitted, or leave it out.\n"
    )
    useless = run_command("convert-run", RUN, tmp_path / "out", "--sbatch", "--partition=a")
    assert useless.returncode == 2
    assert useless.stderr == "Error: --sbatch: has no effect without --slurm. Leave it out, or add --slurm.\n"
