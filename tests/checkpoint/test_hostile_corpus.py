"""Every hostile file, by both commands, in a process of its own: nothing runs, nothing is written, one clear sentence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.hostile.corpus import CONVERTED, REFUSED, file_name
from helpers.hostile.registry import HostileFile
from helpers.hostile.sandbox import MARKER, OUTPUT, Run, Sandbox
from helpers.hostile.writing import MARK, as_zip, dense, sound
from helpers.processor import within
from prenorm.checkpoint.limits import MAX_CLASSES, MAX_TENSORS

MAX_SECONDS = 5.0  # of the processor, on the machine that the yardstick of `helpers.processor` was made on
MAX_PEAK_MB = 300.0
ATTACKS = {name: item for name, item in {**REFUSED, **CONVERTED}.items() if item.attack}


def written(item: HostileFile, tmp_path: Path) -> Path:
    """The file, in a folder of its own, in which the commands run."""
    folder = tmp_path / "folder"
    folder.mkdir()
    item.write(folder / file_name(item))
    return folder


def held_in_bounds(run: Run, folder: Path) -> None:
    """What is true of every run, whatever becomes of the file."""
    executed = list(run.events) + [str(path) for path in folder.rglob(MARKER)]
    assert executed == []
    assert within(run.seconds, MAX_SECONDS)
    assert run.peak_mb < MAX_PEAK_MB
    assert "Traceback" not in run.stderr and "please report it" not in run.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", run.stderr + run.stdout)


def one_sentence(run: Run) -> str:
    """The message: `Error: ...` once, and single problems indented below it."""
    first, *rest = run.stderr.splitlines()
    assert first.startswith("Error: ")
    assert all(line.startswith("  ") for line in rest)
    assert len(run.stderr) < 20_000
    return run.stderr


def measured(runs: list[Run], kind: str, item: HostileFile, record_property: Callable[[str, object], None]) -> None:
    for name, value in {
        "hostile": kind,
        "file": item.name,
        "executed": any(run.events for run in runs),
        "seconds": max(run.seconds for run in runs),
        "peak_mb": max(run.peak_mb for run in runs),
    }.items():
        record_property(name, value)


def by_cost(files: Mapping[str, HostileFile]) -> list[Any]:
    """Their names as parameters; slow are those that take long, are found out by converting, or are a second container."""
    slow = {name for name, item in files.items() if item.late or name.startswith(("bombs/", "counts/"))}
    slow |= {name for name in files if name.endswith(".legacy") and name.removesuffix("legacy") + "zip" in files}
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in files]


@pytest.mark.parametrize("name", by_cost(REFUSED))
def test_refused(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    item = REFUSED[name]
    sandbox = request.getfixturevalue("converter" if item.late else "refuser")
    folder = written(item, tmp_path)
    inspected = sandbox.run(folder, "inspect", file_name(item), "--json")
    quiet = ["--quiet"] if item.late else []  # until it is found out, it is converted, with the usual warnings
    converted = sandbox.run(folder, "convert", file_name(item), OUTPUT, *quiet)
    measured([inspected, converted], "refused", item, record_property)
    for run in (inspected, converted):
        held_in_bounds(run, folder)
    assert [path.name for path in folder.iterdir()] == [file_name(item)]
    assert converted.code == item.code
    assert converted.stdout == ""
    assert re.search(item.cause, one_sentence(converted)), converted.stderr
    if inspected.code == 0:  # it could be opened: then inspect tells why it cannot be converted
        found = json.loads(inspected.stdout)
        assert inspected.stderr == ""
        assert found["refusal_code"] == (None if item.late else item.code)
        assert item.late or re.search(item.cause, found["refusal"])
    else:
        assert inspected.code == item.code
        assert re.search(item.cause, one_sentence(inspected)), inspected.stderr
        said = json.loads(inspected.stdout)
        assert (said["exit_code"], {*said}) == (item.code, {"error", "exit_code"})


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERTED)
def test_converted(
    name: str, tmp_path: Path, converter: Sandbox, record_property: Callable[[str, object], None]
) -> None:
    """The hostile thing is not part of the model: it stays where it is, and the user is told of it."""
    item = CONVERTED[name]
    folder = written(item, tmp_path)
    inspected = converter.run(folder, "inspect", file_name(item), "--json")
    converted = converter.run(folder, "convert", file_name(item), OUTPUT, "--json")
    measured([inspected, converted], "converted", item, record_property)
    for run in (inspected, converted):
        held_in_bounds(run, folder)
        assert run.code == 0, run.stderr
    assert {path.name for path in folder.iterdir()} == {file_name(item), OUTPUT}
    for run in (inspected, converted):
        assert any(re.search(item.cause, warning) for warning in json.loads(run.stdout)["warnings"]), run.stdout[:2000]
    assert json.loads(converted.stdout)["passed"] is True


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_real(name: str, tmp_path: Path, converter: Sandbox) -> None:
    """What `torch.load` does with the same file: it runs the payload. So the corpus is no collection of blanks."""
    folder = written(ATTACKS[name], tmp_path)
    run = converter.run(folder, "torch.load", file_name(ATTACKS[name]))
    assert (folder / MARKER).exists(), run.stderr
    assert run.events


@pytest.mark.parametrize("name", [*(name for name in REFUSED if "/name-" in name), "tensors/state-dict-alone.zip"])
def test_inspect_prints_nothing_a_terminal_acts_on(name: str, tmp_path: Path, refuser: Sandbox) -> None:
    folder = written(REFUSED[name], tmp_path)
    run = refuser.run(folder, "inspect", file_name(REFUSED[name]))
    held_in_bounds(run, folder)
    assert (run.code, run.stderr == "") in ((0, True), (4, False))


@pytest.mark.slow
def test_inspect_prints_the_most_it_can_be_given(tmp_path: Path, refuser: Sandbox) -> None:
    """As many tensors and classes as the reader lets through, in tables."""
    folder = tmp_path / "folder"
    folder.mkdir()
    tensors = {f"strange.{i}": dense("one", [1]) for i in range(MAX_TENSORS - 100)}
    classes = {"x": MARK + b"".join(b"(im%d\nn\n" % i for i in range(MAX_CLASSES - 100)) + b"l"}
    (folder / "most.pt").write_bytes(as_zip(sound(model=tensors, beside=classes, more={"one": bytes(4)})))
    run = refuser.run(folder, "inspect", "most.pt", "--tensors")
    held_in_bounds(run, folder)
    assert run.code == 0
    assert run.stdout.count("strange.") >= MAX_TENSORS - 100


@pytest.mark.parametrize(("path", "said"), [("pipe", "not a regular file"), ("/dev/zero", "not a regular file")])
def test_what_is_no_file_holds_nothing_up(path: str, said: str, tmp_path: Path, refuser: Sandbox) -> None:
    """Opening a named pipe waits for somebody to write to it."""
    os.mkfifo(tmp_path / "pipe")
    run = refuser.run(tmp_path, "inspect", path)
    held_in_bounds(run, tmp_path)
    assert run.code == 2
    assert said in one_sentence(run)


@pytest.mark.slow
def test_the_corpus_is_large_and_the_same_every_time() -> None:
    items = [*REFUSED.values(), *CONVERTED.values()]
    assert len(items) > 90
    for item in items:
        if not item.name.startswith(("bombs/", "counts/")):  # megabytes each, and made by the same functions
            assert item.make() == item.make(), item.name
