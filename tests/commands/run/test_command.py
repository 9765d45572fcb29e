"""A whole run: every member a proven folder, failures told and nothing else stopped, and what a second command does."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import prenorm
from helpers.commands import run_command
from helpers.paths import BPE, FIXTURES, MLM
from helpers.runs import RUN, STEPS, at_updates, changed_checkpoint, copy_run, folders, run_here
from prenorm.commands.run import member as conversion
from prenorm.commands.run.plan import Member
from prenorm.errors import UsageProblem
from prenorm.files import pieces_of, sha256_of
from prenorm.mapping import understood
from prenorm.progress import Silent


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The run's folder, whole; its tokenizer was prepared once."""
    output = tmp_path_factory.mktemp("whole") / "out"
    chosen: list[object] = []
    real = understood.choose_tokenizer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(understood, "choose_tokenizer", lambda *given: chosen.append(given) or real(*given))
        report, converted = run_here(patch, RUN, output, drawn=True)
    assert report.passed and converted == STEPS and len(chosen) == 1
    yield output


def test_the_report_of_a_run_lies_in_its_folder_in_every_form(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir() if path.name not in STEPS) == [
        "members", "plots", "run.json", "run_report.html", "run_report.json", "run_report.md",
    ]  # fmt: skip
    assert sorted(path.name for path in (whole / "plots").iterdir()) == ["movement.png", "parity.png", "training.png"]
    assert (whole / "run_report.md").read_text().startswith("# ✅ The run is done: `run`\n\n4 checkpoints: 4 done.")


def test_every_member_is_what_convert_makes_of_its_checkpoint(whole: Path, tmp_path: Path) -> None:
    plain = prenorm.convert(RUN / "checkpoint_3_32.pt", tmp_path / STEPS[3], bpe_dir=BPE).output
    assert folders(whole)
    made = {name: content for name, content in folders(whole).items() if name.startswith(STEPS[3])}
    assert made == folders(plain.parent)
    assert sorted({name.split("/")[0] for name in folders(whole)}) == STEPS


def test_a_second_command_converts_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, written = folders(whole), (whole / "run_report.html").stat().st_mtime_ns
    report, converted = run_here(monkeypatch, RUN, whole, drawn=True)
    assert report.passed and converted == [] and folders(whole) == before
    assert (whole / "run_report.html").stat().st_mtime_ns == written  # nothing is drawn a second time
    (whole / "run_report.md").unlink()
    run_here(monkeypatch, RUN, whole, drawn=True)
    assert (whole / "run_report.md").is_file()
    assert report.members[-1].aliases == ("checkpoint_best.pt", "checkpoint_last.pt")
    assert [member.updates for member in report.members] == [8, 16, 24, 32]
    assert json.loads((whole / "run_report.json").read_text()) == json.loads(json.dumps(report.to_dict()))


def test_a_new_checkpoint_and_a_lost_folder_are_all_that_is_converted(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, output = copy_run(tmp_path / "run"), tmp_path / "out"
    shutil.copytree(whole, output)
    plan = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps({**plan, "run": str(run)}))
    Path(run / "checkpoint_2_16.pt").rename(run / "checkpoint_2_20.pt")
    changed_checkpoint(run / "checkpoint_2_20.pt", lambda state: at_updates(state, 20))
    shutil.rmtree(output / STEPS[2])
    report, converted = run_here(monkeypatch, run, output, match="*_[23]_*")
    assert converted == ["step-000020", STEPS[2]]
    # What is done stays in the report, though its checkpoint is gone or no longer chosen.
    assert [(member.name, member.state) for member in report.members] == [
        (name, "done") for name in (STEPS[0], STEPS[1], "step-000020", STEPS[2], STEPS[3])
    ]


def test_a_changed_option_makes_all_again_and_says_so(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "out"))
    warnings: list[str] = []

    class Listener(Silent):
        def warn(self, text: str) -> None:
            warnings.append(text)

    report, converted = run_here(monkeypatch, RUN, output, license="mit", match="*_1_8.pt", progress=Listener())
    assert report.passed and converted == [STEPS[0]]
    assert warnings[0] == "1 of 1 folders are made again: license changed"
    assert "license: mit" in (output / STEPS[0] / "README.md").read_text()


def broken_run(folder: Path) -> Path:
    """A run in which nearly everything went wrong: of its seven checkpoints two can be converted."""
    run = copy_run(folder)
    for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
        (run / name).unlink()
    whole = (run / "checkpoint_2_16.pt").read_bytes()
    (run / "checkpoint_2_16.pt").write_bytes(whole[: len(whole) // 2])
    shutil.copy(MLM, run / "checkpoint_7_70.pt")

    def spoil(state: dict[str, object]) -> None:
        at_updates(state, 40)
        tensor = state["model"]["encoder.lm_head.bias"]  # type: ignore[index]
        tensor[3] = float("nan")

    shutil.copy(run / "checkpoint_1_8.pt", run / "checkpoint_4_40.pt")
    changed_checkpoint(run / "checkpoint_4_40.pt", spoil)
    for number, name in ((50, "checkpoint_5_50.pt"), (60, "checkpoint_6_60.pt")):
        shutil.copy(run / "checkpoint_1_8.pt", run / name)
        changed_checkpoint(run / name, lambda state, number=number: at_updates(state, number))  # type: ignore[misc]
    (run / "checkpoint_2_24.pt").unlink()
    return run


def test_each_failure_is_told_in_one_sentence_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = broken_run(tmp_path / "run")

    def meanwhile(member: Member) -> None:
        if member.name == "step-000050":
            (run / member.checkpoint).unlink()
        if member.name == "step-000060":
            with (run / member.checkpoint).open("ab") as file:
                file.write(b"more")

    report, converted = run_here(monkeypatch, run, tmp_path / "out", before=meanwhile)
    assert converted == ["step-000008", "step-000032", "step-000040", "step-000050", "step-000060"]
    assert [member.name for member in report.members if member.is_done] == ["step-000008", "step-000032"]
    causes = {member.checkpoint: member.cause for member in report.failures}
    size = (run / "checkpoint_6_60.pt").stat().st_size
    other, damaged = causes.pop("checkpoint_7_70.pt"), causes.pop("checkpoint_2_16.pt")
    assert causes == {
        "checkpoint_4_40.pt": "checkpoint_4_40.pt: 1 tensors hold NaN or infinity, so parity could not be judged",
        "checkpoint_5_50.pt": "checkpoint_5_50.pt: it vanished before it was converted",
        "checkpoint_6_60.pt": (
            f"checkpoint_6_60.pt: it was written to while it was read: it had {size - 4:,} bytes, and has {size:,}"
        ),
    }
    assert other.startswith("it is of another training run: it has 3 layers of width 48")
    assert damaged.startswith("checkpoint_2_16.pt: ")
    assert all("\n" not in cause and member.advice for member in report.failures for cause in [member.cause])
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name.startswith((".", "step"))) == [
        "step-000008", "step-000032",
    ]  # fmt: skip
    # Mended, the same command converts what failed, and nothing else.
    changed_checkpoint(run / "checkpoint_4_40.pt", lambda state: state["model"]["encoder.lm_head.bias"].fill_(0.0))
    os.truncate(run / "checkpoint_6_60.pt", size - 4)
    report, converted = run_here(monkeypatch, run, tmp_path / "out")
    assert converted == ["step-000040", "step-000060"] and len(report.failures) == 2
    assert not list((tmp_path / "out" / "members").glob("step-0000[46]0.failed.json"))


def test_a_checkpoint_that_is_replaced_during_its_conversion_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, output = copy_run(tmp_path / "run"), tmp_path / "out"
    real = conversion.convert_checkpoint

    def replaced(*given: Any) -> object:
        os.utime(run / "checkpoint_1_8.pt", ns=(5, 5))
        return real(*given)

    monkeypatch.setattr(conversion, "convert_checkpoint", replaced)
    report, _ = run_here(monkeypatch, run, output, match="*_1_8.pt")
    assert [member.cause for member in report.members] == [
        "checkpoint_1_8.pt: it was replaced or written to while it was read"
    ]
    assert sorted(path.name for path in output.iterdir()) == ["members", "run.json", "run_report.json"]
    assert [path.name for path in (output / "members").iterdir()] == ["step-000008.failed.json"]


def test_a_full_disk_is_told_of_each_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prenorm.folder import files

    real = files._write_file

    def full(path: Path, pieces: object, tick: object) -> None:
        if path.name == "model.safetensors" and STEPS[1] in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, pieces, tick)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_write_file", full)
    report, _ = run_here(monkeypatch, RUN, tmp_path / "out", match="*_[12]_*")
    assert [(member.state, member.cause) for member in report.members] == [
        ("done", ""), ("failed", "model.safetensors: No space left on device"), ("done", ""),
    ]  # fmt: skip
    monkeypatch.undo()
    report, converted = run_here(monkeypatch, RUN, tmp_path / "out", match="*_[12]_*")
    assert report.passed and converted == [STEPS[1]]


def test_status_and_dry_run_write_nothing(tmp_path: Path, whole: Path) -> None:
    for option in ("status", "dry_run"):
        report = prenorm.convert_run(RUN, tmp_path / "out", bpe_dir=BPE, **{option: True})  # type: ignore[arg-type]
        assert [member.state for member in report.members] == ["left"] * 4 and not report.passed
        assert list(tmp_path.iterdir()) == []
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    report = prenorm.convert_run(RUN, whole, bpe_dir=BPE, license="mit", dry_run=True)
    assert {member.cause for member in report.members} == {"license changed"}
    assert prenorm.convert_run(RUN, whole, bpe_dir=BPE, status=True).passed
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_places_that_cannot_be_are_refused(tmp_path: Path, whole: Path) -> None:
    run = copy_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    cases = {
        (run, run): "run and output must not lie in each other",
        (run, run / "out"): "run and output must not lie in each other",
        (run, tmp_path): "run and output must not lie in each other",
        (run, tmp_path / "file"): "exists and is no folder",
        (run, tmp_path / "other"): "exists and holds no run (no run.json)",
        (run, tmp_path / "damaged"): "is no plan of a run that this prenorm reads",
        (run, tmp_path / "no" / "out"): "the folder it should go into does not exist",
        (run, whole): f"it holds another run, of {RUN}",
        (tmp_path / "file", tmp_path / "out"): "is a file, and a run is a folder of checkpoints",
    }
    for (source, output), cause in cases.items():
        with pytest.raises(UsageProblem) as refused:
            prenorm.convert_run(source, output)
        assert refused.value.cause == cause and refused.value.advice


def test_the_command_line_converts_members_of_a_plan(whole: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "out"))
    before = folders(output)
    for name in STEPS[1:3]:
        shutil.rmtree(output / name)
    done = run_command("convert-run", RUN, output, "--member", STEPS[1], "--member", STEPS[2], "--json")
    assert done.returncode == 0 and [item["verdict"] for item in json.loads(done.stdout)["members"]] == [
        "passed",
        "passed",
    ]
    assert folders(output) == before
    refused = run_command("convert-run", RUN, output, "--member", "step-000009")
    assert refused.returncode == 2 and refused.stderr == (
        "Error: step-000009: the plan has no such member. run.json lists them.\n"
    )
    useless = run_command("convert-run", RUN, output, "--member", STEPS[1], "--license", "mit")
    assert useless.returncode == 2
    assert useless.stderr == "Error: --license: cannot be used with --member. Leave it out.\n"


def test_the_command_line_shows_status(whole: Path) -> None:
    shown = run_command("convert-run", RUN, whole, "--bpe-dir", BPE, "--status")
    assert shown.returncode == 0 and shown.stdout.endswith("4 checkpoints: 4 done\n")
    assert [f"│ {name} │" in shown.stdout for name in STEPS] == [True] * 4
    left = run_command("convert-run", RUN, whole, "--status", "--json")
    assert left.returncode == 1
    assert [member["cause"] for member in json.loads(left.stdout)["members"]] == ["--bpe-dir changed"] * 4


@pytest.mark.parametrize("variant", ["fsdp-shards", "model-parallel-shards"])
def test_a_checkpoint_in_several_files_is_one_member(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(FIXTURES / "variants" / variant, tmp_path / "run"))
    report, converted = run_here(monkeypatch, run, tmp_path / "out", no_tokenizer=True, bpe_dir=None)
    assert report.passed and len(converted) == 1, report.members
    parts = sorted(run.glob("*.pt"))
    record = json.loads((tmp_path / "out" / "members" / f"{converted[0]}.json").read_text())
    assert {file["name"]: file["sha256"] for file in record["files"]} == {
        path.name: sha256_of(pieces_of(path)) for path in parts
    }
    assert len(parts) > 1
    # One of them changed is another checkpoint.
    os.utime(parts[-1], ns=(7, 7))
    assert run_here(monkeypatch, run, tmp_path / "out", no_tokenizer=True, bpe_dir=None)[1] == []
    parts[-1].unlink()
    report, _ = run_here(monkeypatch, run, tmp_path / "out", no_tokenizer=True, bpe_dir=None)
    assert [member.state for member in report.members if member.checkpoint == parts[0].name] == ["failed"]
