"""What a look at a run's folder tells: which members are done, and why a folder that is there is made again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from helpers.runs import STEPS, copy_run, run_here
from prenorm.commands.run.plan import RunPlan, SourceFile, read_plan
from prenorm.commands.run.state import MemberState, look, record_path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A run of one checkpoint, and the folder that it became."""
    base = tmp_path_factory.mktemp("state")
    run = copy_run(base / "run")
    with pytest.MonkeyPatch.context() as patch:
        report, _ = run_here(patch, run, base / "out", match="checkpoint_1_8.pt")
    assert report.passed
    yield run, base / "out"


@pytest.fixture
def place(done: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path, RunPlan]:
    """Copies that a test may change; the times of the files are kept."""
    run, output = (shutil.copytree(path, tmp_path / path.name) for path in done)
    plan = read_plan(Path(output))
    assert plan is not None
    return Path(run), Path(output), structs.replace(plan, run=str(run))


def why(plan: RunPlan, output: Path) -> str:
    seen = look(plan, plan.members[0], output)
    assert (seen.state is MemberState.DONE) == (seen.record is not None and not seen.why)
    return seen.state.value if not seen.why else seen.why


def test_a_folder_that_is_as_its_record_says_is_done(place: tuple[Path, Path, RunPlan]) -> None:
    run, output, plan = place
    assert plan.members[0].name == STEPS[0]
    assert why(plan, output) == "done"
    record = look(plan, plan.members[0], output).record
    assert record is not None and record.files[0].sha256 is not None
    shutil.rmtree(run)  # what is done needs its checkpoint no more
    assert why(plan, output) == "done"


Change = Callable[[RunPlan], RunPlan]
PLANS: dict[str, tuple[Change, str]] = {
    "version": (lambda plan: structs.replace(plan, prenorm="9.9"), "made by prenorm {version}, and this is 9.9"),
    "option": (lambda plan: structs.replace(plan, options={**plan.options, "license": "mit"}), "license changed"),
    "option left out": (lambda plan: structs.replace(plan, options={}), "bpe_dir changed"),
    "dictionary": (lambda plan: structs.replace(plan, inputs={**plan.inputs, "/a/dict.txt": "0"}), "dict.txt changed"),
    "no longer there": (lambda plan: structs.replace(plan, inputs={}), "dict.txt changed"),
    "all moved": (
        lambda plan: structs.replace(plan, inputs={f"/new{path}": sha for path, sha in plan.inputs.items()}),
        "done",
    ),
    "BPE moved": (lambda plan: structs.replace(plan, options={"bpe_dir": "/new/gpt2_bpe"}), "done"),
    "what changes no folder": (lambda plan: structs.replace(plan, options={**plan.options, "retries": 3}), "done"),
    "threads": (lambda plan: structs.replace(plan, threads=7), "done"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_folder_is_of_one_plan(place: tuple[Path, Path, RunPlan], name: str) -> None:
    _, output, plan = place
    change, expected = PLANS[name]
    assert why(change(plan), output) == expected.format(version=plan.prenorm)


def test_a_checkpoint_is_known_by_its_checksum(place: tuple[Path, Path, RunPlan]) -> None:
    run, output, plan = place
    path = run / "checkpoint_1_8.pt"

    def seen() -> str:
        member = structs.replace(plan.members[0], files=(SourceFile.of(path),))
        return why(structs.replace(plan, members=(member,)), output)

    os.utime(path, ns=(1, 1))  # another time, the same bytes
    assert seen() == "done"
    content = bytearray(path.read_bytes())
    content[70_000] ^= 1
    path.write_bytes(content)
    assert seen() == "checkpoint_1_8.pt changed"
    path.write_bytes(content + b"0")
    assert seen() == "checkpoint_1_8.pt changed"


Damage = Callable[[Path, Path], Any]
FOLDERS: dict[str, tuple[Damage, str]] = {
    "folder gone": (lambda folder, record: shutil.rmtree(folder), "left"),
    "record gone": (lambda folder, record: record.unlink(), "left"),
    "record damaged": (lambda folder, record: record.write_text("{"), "left"),
    "weights gone": (lambda folder, record: (folder / "model.safetensors").unlink(), "it is not complete"),
    "card cut": (lambda folder, record: (folder / "README.md").write_text("x"), "its README.md was changed"),
    "report gone": (lambda folder, record: (folder / "parity_report.json").unlink(), "it is not complete"),
    "report changed": (
        lambda folder, record: (folder / "parity_report.json").write_text("{}"),
        "its parity_report.json is another one",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_not_as_recorded_is_left(place: tuple[Path, Path, RunPlan], name: str) -> None:
    _, output, plan = place
    damage, expected = FOLDERS[name]
    damage(output / STEPS[0], record_path(output, STEPS[0]))
    assert why(plan, output) == expected


def test_strict_asks_for_all_that_counts(place: tuple[Path, Path, RunPlan]) -> None:
    _, output, plan = place
    strict = structs.replace(plan, options={**plan.options, "strict": True})
    assert why(strict, output) == "done"
    path = record_path(output, STEPS[0])
    path.write_text(json.dumps({**json.loads(path.read_text()), "unjudged": ["tokenizer"]}))
    assert why(strict, output) == "strict=True, and it has parts that were not judged"
    assert why(plan, output) == "done"
