"""The plan of a run: order, other names of the same checkpoint, other runs' checkpoints, and what is not read twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import BPE, FIXTURES, MLM
from helpers.runs import RUN, STEPS, at_updates, changed_checkpoint, copy_run
from prenorm.commands.run import planning
from prenorm.commands.run.plan import RunPlan, read_plan, write_struct
from prenorm.commands.run.planning import conversion_options, make_plan
from prenorm.errors import UsageProblem
from prenorm.files import pieces_of
from prenorm.options import ConvertRunOptions


def plan_of(run: Path, before: RunPlan | None = None, **options: Any) -> RunPlan:
    return make_plan(ConvertRunOptions(run, "unused", **options), before, 1)


def at_updates_of(path: Path, updates: int) -> None:
    changed_checkpoint(path, lambda state: at_updates(state, updates))


def test_members_are_in_the_order_of_their_updates_and_each_checkpoint_is_one() -> None:
    plan = plan_of(RUN, bpe_dir=BPE)
    assert [member.name for member in plan.members] == STEPS
    assert [member.reading.updates for member in plan.members] == [8, 16, 24, 32]
    assert [member.reading.epoch for member in plan.members] == [1, 2, 2, 3]
    last = plan.members[-1]
    assert last.checkpoint == "checkpoint_3_32.pt"
    assert [alias.checkpoint for alias in last.aliases] == ["checkpoint_best.pt", "checkpoint_last.pt"]
    assert {Path(path).name for path in plan.inputs} == {"dict.txt", "encoder.json", "vocab.bpe"}
    options = conversion_options(plan, last, Path("out"))
    assert (options.bpe_dir, options.output, options.overwrite) == (BPE, Path("out/step-000032"), True)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = plan_of(RUN, bpe_dir=BPE, language=["en", "de"])
    write_struct(tmp_path / "run.json", plan)
    assert read_plan(tmp_path) == plan
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageProblem, match="is no plan of a run"):
        read_plan(tmp_path)


def test_what_the_last_plan_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_run(tmp_path / "run")
    before = plan_of(run)
    read: list[str] = []
    real = planning.read_checkpoint
    monkeypatch.setattr(
        planning, "read_checkpoint", lambda path, options: read.append(path.name) or real(path, options)
    )
    monkeypatch.setattr(planning, "pieces_of", lambda path: read.append(f"all of {path.name}") or pieces_of(path))
    assert plan_of(run, before).members == before.members
    assert read == ["all of dict.txt"]
    read.clear()
    (run / "checkpoint_last.pt").touch()
    at_updates_of(run / "checkpoint_2_24.pt", 28)
    plan = plan_of(run, before)
    assert sorted(read) == ["all of checkpoint_last.pt", "all of dict.txt", "checkpoint_2_24.pt", "checkpoint_last.pt"]
    assert [member.name for member in plan.members] == ["step-000008", "step-000016", "step-000028", "step-000032"]


def test_a_checkpoint_that_differs_is_no_other_name(tmp_path: Path) -> None:
    run = copy_run(tmp_path / "run")
    changed_checkpoint(run / "checkpoint_best.pt", lambda state: state["model"].popitem())
    shutil.copy(run / "checkpoint_3_32.pt", run / "averaged.pt")
    with (run / "averaged.pt").open("r+b") as file:  # the same size
        file.seek(70_000)
        byte = file.read(1)
        file.seek(70_000)
        file.write(bytes([byte[0] ^ 1]))
    names = {member.checkpoint: member.name for member in plan_of(run).members}
    assert names["checkpoint_3_32.pt"] == "step-000032"
    assert names["averaged.pt"] == "step-000032-averaged"
    assert "checkpoint_last.pt" not in names


def test_a_checkpoint_of_another_run_is_told_from_the_run(tmp_path: Path) -> None:
    run = copy_run(tmp_path / "run")
    shutil.copy(MLM, run / "checkpoint_7_70.pt")
    shutil.copy(FIXTURES / "variants" / "model-alone" / "checkpoint.pt", run / "alone.pt")
    plan = plan_of(run)
    problems = {member.checkpoint: member.reading.problem for member in plan.members if member.reading.problem}
    assert set(problems) == {"checkpoint_7_70.pt", "alone.pt"}
    assert "it is of another training run: it has 3 layers of width 48 and 96" in problems["checkpoint_7_70.pt"].cause
    assert "most checkpoints here have 2 layers of width 16 and 64, 45 tokens, 22 positions" in (
        problems["checkpoint_7_70.pt"].cause
    )
    assert [member.name for member in plan.members if not member.reading.problem] == STEPS


def test_a_damaged_checkpoint_is_a_member_with_a_problem(tmp_path: Path) -> None:
    run = copy_run(tmp_path / "run")
    whole = (run / "checkpoint_2_16.pt").read_bytes()
    (run / "checkpoint_2_16.pt").write_bytes(whole[: len(whole) // 2])
    (run / "empty.pt").write_bytes(b"")
    (run / "nowhere.pt").symlink_to(tmp_path / "gone.pt")
    problems = {member.name: member.reading.problem for member in plan_of(run).members if member.reading.problem}
    assert {name: (problem.kind, problem.subject) for name, problem in problems.items()} == {
        "step-checkpoint_2_16": ("unreadable", "checkpoint_2_16.pt"),
        "step-empty": ("unreadable", str(run / "empty.pt")),
        "step-nowhere": ("usage", "nowhere.pt"),
    }
