"""Which files of a folder are one checkpoint, and what the folders of a run are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from prenorm.commands.run.members import distinct_names, find_checkpoints
from prenorm.errors import UsageProblem


def make(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_files_of_one_checkpoint_count_as_one(tmp_path: Path) -> None:
    run = make(
        tmp_path / "run", "checkpoint1.pt", "checkpoint_1_50.pt", "checkpoint_best.pt", "averaged.pt", "dict.txt",
        "checkpoint_last-shard0.pt", "checkpoint_last-shard1.pt", "checkpoint_last-shard10.pt", ".checkpoint_9.pt",
        "checkpoint_2_60-model_part-1.pt", "checkpoint_2_60-model_part-0.pt", "checkpoint_3_70.pt.tmp",
    )  # fmt: skip
    (run / "folder.pt").mkdir()
    checkpoints = find_checkpoints(run, "*.pt")
    assert {item.name: [path.name for path in item.paths] for item in checkpoints} == {
        "averaged.pt": ["averaged.pt"],
        "checkpoint1.pt": ["checkpoint1.pt"],
        "checkpoint_1_50.pt": ["checkpoint_1_50.pt"],
        "checkpoint_2_60-model_part-0.pt": ["checkpoint_2_60-model_part-0.pt", "checkpoint_2_60-model_part-1.pt"],
        "checkpoint_best.pt": ["checkpoint_best.pt"],
        "checkpoint_last-shard0.pt": [f"checkpoint_last-shard{number}.pt" for number in (0, 1, 10)],
    }
    in_order = sorted(checkpoints, key=lambda item: (item.rank, item.name))
    assert [item.stem for item in in_order] == [
        "checkpoint1", "checkpoint_1_50", "checkpoint_2_60", "checkpoint_best", "checkpoint_last", "averaged",
    ]  # fmt: skip


def test_match_chooses_by_name_and_takes_all_parts(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "checkpoint_1_50.pt", "checkpoint_best-shard0.pt", "checkpoint_best-shard1.pt")
    (checkpoint,) = find_checkpoints(run, "*_best-shard1*")
    assert [path.name for path in checkpoint.paths] == ["checkpoint_best-shard0.pt", "checkpoint_best-shard1.pt"]


@pytest.mark.parametrize(
    ("names", "match", "cause"),
    [
        ([], "*.pt", "holds no checkpoint: no file is called *.pt"),
        (["dict.txt"], "*.pt", "holds no checkpoint: no file is called *.pt; it has 1 other files"),
        (["a.pt"], "b*", "holds no checkpoint: no file is called b*; it has 1 other files"),
    ],
)
def test_a_folder_without_checkpoints_is_refused(tmp_path: Path, names: list[str], match: str, cause: str) -> None:
    run = make(tmp_path / "run", *names)
    with pytest.raises(UsageProblem) as refused:
        find_checkpoints(run, match)
    assert refused.value.cause == cause and refused.value.subject == str(run)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    run = make(tmp_path / "checkpoints", "a.pt")
    with pytest.raises(UsageProblem, match="is a file, and a run is a folder") as refused:
        find_checkpoints(run / "a.pt", "*.pt")
    assert "prenorm.convert takes" in refused.value.advice
    with pytest.raises(UsageProblem, match="there is no such folder") as refused:
        find_checkpoints(tmp_path / "checkpoint", "*.pt")
    assert refused.value.advice == f"Did you mean {run}?"


def test_folders_are_named_after_updates() -> None:
    stems = ["a", "b", "averaged", "c", "no-updates"]
    assert distinct_names([8, 5000, 5000, 1_234_567, None], stems) == [
        "step-000008", "step-005000", "step-005000-averaged", "step-1234567", "step-no-updates",
    ]  # fmt: skip
