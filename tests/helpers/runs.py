"""A small real training run, and runs of it in this process, so that a test pays for no worker's imports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.paths import BPE, FIXTURES
from prenorm.commands.run import command
from prenorm.commands.run.command import convert_run
from prenorm.commands.run.member import convert_member
from prenorm.commands.run.plan import Member, RunPlan, write_struct
from prenorm.commands.run.state import MemberRecord
from prenorm.mapping.understood import TokenizerChoices
from prenorm.progress import RunProgress
from prenorm.reports.run_model import RunReport

RUN = FIXTURES / "run"  # checkpoint_1_8.pt, _2_16, _2_24, _3_32, and copies of the last as best and last
STEPS = ["step-000008", "step-000016", "step-000024", "step-000032"]
RECORDS = {
    "run.json",
    "run_report.json",
    "run_report.md",
    "run_report.html",
    "members",
    "plots",
    "array.sh",
    "slurm",
}  # what changes with the clock


class InProcess:
    """A scheduler that converts here. `converted` are the names of the members, in order; `before` is called with each."""

    def __init__(self, before: Callable[[Member], None] = lambda member: None) -> None:
        self.converted: list[str] = []
        self._before = before

    def convert(
        self, plan: RunPlan, members: Sequence[Member], output: Path, progress: RunProgress
    ) -> dict[str, MemberRecord]:
        records: dict[str, MemberRecord] = {}
        choices: TokenizerChoices = {}
        for member in members:
            self.converted.append(member.name)
            self._before(member)
            records[member.name] = convert_member(plan, member, output, progress.member(member.name), choices)
            progress.ended(member.name, records[member.name].verdict or "failed")
        return records


def run_here(
    monkeypatch: pytest.MonkeyPatch,
    run: Path,
    output: Path,
    *,
    before: Callable[[Member], None] = lambda member: None,
    drawn: bool = False,
    **options: Any,
) -> tuple[RunReport, list[str]]:
    """`convert_run` in this process; returns its report, and the names of the members that were converted.

    Unless `drawn`, the report is written as JSON alone: most tests have no use for its plots.
    """
    scheduler = InProcess(before)
    if not drawn:
        monkeypatch.setattr(
            command, "write_run_report", lambda output, report: write_struct(output / "run_report.json", report)
        )
    monkeypatch.setattr(command, "_scheduler", lambda options, left: scheduler)
    return convert_run(run, output, **{"bpe_dir": BPE, **options}), scheduler.converted


def copy_run(folder: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(RUN, folder))


def changed_checkpoint(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Saves a checkpoint again with some of its content changed."""
    state = torch.load(path, map_location="cpu", weights_only=False)
    change(state)
    torch.save(state, path)


def at_updates(state: dict[str, Any], updates: int) -> None:
    state["optimizer_history"][-1]["num_updates"] = updates


def folders(output: Path) -> dict[str, bytes]:
    """Everything in a run's folder but what changes with the clock, by path."""
    return {
        os.fspath(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.relative_to(output).parts[0] not in RECORDS
    }
