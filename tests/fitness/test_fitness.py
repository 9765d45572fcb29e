"""`verify --folder-only` in transformers 5 and 4.57: sound folders pass everything, and each fault is seen where it is."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.fitness_folders import FAULTS, ONNX, TRAINER, VECTORS, make_sound
from helpers.paths import OLD_TRANSFORMERS_PYTHON, SCRIPTS
from helpers.workers import run_worker

pytestmark = pytest.mark.slow

# An export takes seconds; each architecture and task is exported once, by one release or the other.
EXPORTED = {"5": ("masked-lm", "choice"), "4.57": ("xl", "classifier")}
PYTHONS = {"5": Path(sys.executable), "4.57": OLD_TRANSFORMERS_PYTHON}
TRAINED = ("masked-lm", "classifier", "choice", "encoder")
WITHOUT_TOKENIZER = {"no-tokenizer", "other-pad"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_sound(tmp_path_factory.mktemp("sound"))


def judge_all(version: str, cases: dict[str, tuple[Path, tuple[str, ...]]], base: Path) -> dict[str, Any]:
    """The reports by case, from one process; it is not told to stay off the network, and must all the same."""
    path = base / "cases.json"
    path.write_text(json.dumps({case: [str(folder), left_out] for case, (folder, left_out) in cases.items()}))
    assert PYTHONS[version].exists(), "transformers 4.57 is not installed: run `make test`"
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(os.environ, "HF_HUB_OFFLINE")
        patch.setitem(os.environ, "OMP_NUM_THREADS", "1")
        found = run_worker(PYTHONS[version], SCRIPTS / "judge_folders.py", path)
    assert found["connections"] == []
    reports: dict[str, Any] = found["reports"]
    assert all(report["environment"]["transformers"].startswith(version) for report in reports.values())
    return reports


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in report["checks"]}


def left_out(version: str, name: str) -> tuple[str, ...]:
    return (*(() if name in EXPORTED[version] else (ONNX,)), *(() if name in TRAINED else (TRAINER,)))


@pytest.mark.parametrize("version", ["5", "4.57"])
def test_sound_folders_pass_and_faulty_ones_fail_where_the_fault_is(
    version: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    cases: dict[str, tuple[Path, tuple[str, ...]]] = {}
    for name, folder in sound.items():
        cases[name] = (folder, left_out(version, name))
    light = (ONNX, TRAINER)  # sentence-transformers stays, because it reads modules.json
    for number, (name, fault) in enumerate(FAULTS.items()):
        cases[name] = (Path(shutil.copytree(sound[fault.folder], tmp_path / str(number))), light)
        fault.plant(cases[name][0])
    before = {path: path.stat().st_mtime_ns for folder, _ in cases.values() for path in folder.iterdir()}
    reports = judge_all(version, cases, tmp_path)
    assert {path: path.stat().st_mtime_ns for folder, _ in cases.values() for path in folder.iterdir()} == before

    assert {name: reports[name]["disagreements"] for name in sound} == {name: [] for name in sound}
    assert {name: reports[name]["verdict"] for name in sound} == dict.fromkeys(sound, "passed")
    not_run = {name: {c: o for c, o in outcomes(reports[name]).items() if o != "passed"} for name in sound}
    vectors = {} if version == "5" else {VECTORS: "not run"}  # not installed beside 4.57
    for name in sound:
        wanted = {**vectors, **dict.fromkeys(left_out(version, name), "not run")}
        if name in WITHOUT_TOKENIZER:
            wanted |= dict.fromkeys(
                ("AutoTokenizer", "pipeline fill-mask", "pipeline feature-extraction", VECTORS), "not run"
            )
        assert not_run[name] == wanted, name

    seen = {
        name: {check for check, end in outcomes(reports[name]).items() if end == "failed"} - {VECTORS}
        for name in FAULTS
    }
    wrongly = {name: seen[name] ^ fault.seen_by for name, fault in FAULTS.items()
               if not (seen[name] == fault.seen_by or (seen[name] > fault.seen_by and not fault.alone))}  # fmt: skip
    assert wrongly == {}
    unsaid = {name: reports[name]["disagreements"] for name, fault in FAULTS.items()
              if not any(fault.said in text for text in reports[name]["disagreements"])}  # fmt: skip
    assert unsaid == {}
    assert not any(report["passed"] for name, report in reports.items() if name in FAULTS)
    assert not (cases["custom code"][0] / "ran").exists()
