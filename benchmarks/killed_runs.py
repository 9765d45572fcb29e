"""Kills `prenorm convert-run` and its workers with SIGKILL at random moments, and holds what is left against a whole run.

python benchmarks/killed_runs.py RUN SCRATCH [--kills 100] [--seed 1] [OPTION of convert-run ...]

RUN is a folder of checkpoints, such as fixtures/make/training_run.py makes. After every kill each folder that is there must
be complete and proven, and each that was done before must be the same folder still. Whenever the run is whole, half of its
folders are taken away. In the end the folders are byte for byte those of a run that nothing disturbed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from prenorm.commands.run.plan import read_plan
from prenorm.commands.run.state import MemberState, look

PRENORM = str(Path(sys.executable).with_name("prenorm"))


def done_folders(output: Path) -> dict[str, int]:
    """The members that are done, with the number that the file system has for their folders."""
    plan = read_plan(output)
    members = () if plan is None else plan.members
    done = [member.name for member in members if look(plan, member, output).state is MemberState.DONE]  # type: ignore[arg-type]
    return {name: (output / name).stat().st_ino for name in done}


def check_complete(folder: Path) -> None:
    """Every folder that is there is a whole one."""
    report = json.loads((folder / "parity_report.json").read_text())
    sizes = {file["name"]: file["bytes"] for file in report["target"]["files"]}
    assert report["passed"] and {path.name for path in folder.iterdir()} == {*sizes, "parity_report.json"}, folder
    assert all((folder / name).stat().st_size == size for name, size in sizes.items()), folder


def workers_of(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process)], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "prenorm.commands.run.worker" in line]


def wait_for(output: Path, running: subprocess.Popen[bytes], folders: int) -> None:
    """Until so many folders are there, or the command ends: on a busy machine a clock would kill nothing but imports."""
    end = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < end and len([*output.glob("step-*")]) < folders:
        time.sleep(0.05)


def kill_some(command: list[str], output: Path, draw: random.Random) -> list[str]:
    """Starts the command, and kills up to five workers and then the command; returns what was killed."""
    killed: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        for last in [False] * draw.choice([0, 0, 2, 5]) + [True]:
            wait_for(output, running, len([*output.glob("step-*")]) + draw.choice([0, 0, 1, 2, 5]))
            time.sleep(draw.uniform(0, 3))
            if running.poll() is not None:
                break
            workers = [] if last else workers_of(running.pid)
            os.kill(draw.choice(workers) if workers else running.pid, signal.SIGKILL)
            killed.append("worker" if workers else "command")
            if not workers:
                break
    return killed


def contents(output: Path) -> dict[str, str]:
    """The SHA-256 of everything but what holds seconds, leftovers included."""
    paths = [path for top in output.iterdir() if top.name.startswith(("step-", ".")) for path in top.rglob("*")]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("scratch", type=Path, help="a folder that does not exist")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments, options = parser.parse_known_args()
    arguments.scratch.mkdir()
    output, whole, draw = arguments.scratch / "killed", arguments.scratch / "whole", random.Random(arguments.seed)
    command = [PRENORM, "convert-run", str(arguments.run), str(output), "--jobs", "2", "--quiet", *options]
    killed: list[str] = []
    done: dict[str, int] = {}
    completed = 0
    while len(killed) < arguments.kills:
        killed += kill_some(command, output, draw)
        for folder in output.glob("step-*"):
            check_complete(folder)
        now = done_folders(output)
        assert all(now.get(name) == number for name, number in done.items()), "what was done was made a second time"
        done, plan = now, read_plan(output)
        if plan is not None and len(done) == len(plan.members):
            completed += 1
            for name in draw.sample(sorted(done), len(done) // 2):
                shutil.rmtree(output / name)
                del done[name]
        print(f"{len(killed)} kills, {len(done)} done, complete {completed} times", flush=True)
    subprocess.run(command, check=True)
    subprocess.run([*command[:3], str(whole), *command[4:]], check=True)
    assert contents(output) == contents(whole)
    print(f"{killed.count('command')} commands and {killed.count('worker')} workers killed; the folders are the same")


main()
