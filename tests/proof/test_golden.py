"""Golden files: recorded once, enough to judge by, and not to be changed unnoticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.commands import run_command
from helpers.paths import BPE, FAIRSEQ_PYTHON, FIXTURES, MLM
from prenorm import convert
from prenorm.commands.record import record, verify_golden
from prenorm.errors import UnreadableCheckpoint, UsageProblem
from prenorm.proof.numbers.sketch import WIDTH, sketch
from prenorm.proof.references.golden import read_golden

pytestmark = pytest.mark.slow

VARIANTS = FIXTURES / "variants"
NAMES = ("activation-gelu", "sequence-classification", "sentence-ranking", "prenorm-masked-lm", "other-pad-id")


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_folder_passes_without_the_checkpoint(name: str, tmp_path: Path) -> None:
    source = Path(shutil.copy(VARIANTS / name / "checkpoint.pt", tmp_path / "checkpoint.pt"))
    record(source, tmp_path / "golden.npz")
    folder = convert(source, tmp_path / "out").output
    source.unlink()
    report = verify_golden(folder, tmp_path / "golden.npz", runtime="both")
    assert report.passed, report.disagreements
    assert report.reference.startswith("golden (builtin")
    assert all(check.metrics["max_abs_diff"] < 1e-11 for check in report.checks if "max_abs_diff" in check.metrics)


def test_faults_are_seen_in_numbers_tensors_and_config(tmp_path: Path) -> None:
    source = VARIANTS / "activation-gelu" / "checkpoint.pt"
    record(source, tmp_path / "golden.npz")
    folder = convert(source, tmp_path / "out").output
    tensors = load_file(folder / "model.safetensors")
    tensors["roberta_prelayernorm.encoder.layer.1.output.dense.weight"][3, 5] *= 1.01
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-12}))
    report = verify_golden(folder, tmp_path / "golden.npz")
    assert {check.name for check in report.checks if not check.passed} == {"config", "logits", "modules", "tensors"}
    assert report.divergence is not None
    assert report.divergence.module == "roberta_prelayernorm.embeddings"
    assert any(
        "layer.1.output.dense.weight' has other bytes than were recorded" in text for text in report.disagreements
    )


def test_recording_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        record(VARIANTS / "activation-gelu" / "checkpoint.pt", tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    facts = read_golden(tmp_path / "one.npz").facts
    assert len(facts["source"]["sha256"]) == 64
    with pytest.raises(UsageProblem, match="exists already"):
        record(VARIANTS / "activation-gelu" / "checkpoint.pt", tmp_path / "one.npz")


@pytest.mark.parametrize("part", ["facts", "outputs", "probe"])
def test_a_changed_file_is_noticed(part: str, tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    record(VARIANTS / "activation-gelu" / "checkpoint.pt", path)
    with np.load(path) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    if part == "facts":
        facts = json.loads(arrays["meta"].tobytes())
        facts["source"]["sha256"] = "0" * 64
        arrays["meta"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    elif part == "outputs":
        arrays["0.logits"][0, 0] += 1e-6
    else:
        arrays["probe.1"][0, 3] += 1
    np.savez(path, **arrays)
    with pytest.raises(UnreadableCheckpoint, match="was changed after it was recorded"):
        read_golden(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no golden file", b"\x80\x04N."])
def test_what_is_no_golden_file_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match="is no golden file"):
        read_golden(tmp_path / "golden.npz")


def test_the_commands_work_together(tmp_path: Path) -> None:
    """The half with real fairseq on one machine, the other half anywhere."""
    golden = tmp_path / "golden.npz"
    done = run_command(
        "record", MLM, golden, "--bpe-dir", BPE, "--reference", "fairseq", "--fairseq-python", FAIRSEQ_PYTHON
    )
    assert done.returncode == 0, done.stderr
    folder = convert(MLM, tmp_path / "out", bpe_dir=BPE).output
    judged = run_command("verify", folder, "--golden", golden, "--json")
    assert judged.returncode == 0, judged.stdout[-500:] + judged.stderr
    assert json.loads(judged.stdout)["reference"].startswith("golden (fairseq 0.12.3")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-12}))
    spoiled = json.loads(run_command("verify", folder, "--golden", golden, "--json").stdout)
    assert {check["name"] for check in spoiled["checks"] if not check["passed"]} >= {"config", "modules"}


def test_a_sketch_sees_any_single_difference() -> None:
    values = torch.randn(5, 1000, dtype=torch.float64)
    assert sketch(values).shape == (5, WIDTH)
    other = values.clone()
    other[2, 777] += 1e-6
    apart = (sketch(other) - sketch(values)).abs()
    assert torch.allclose(apart[2], torch.full((WIDTH,), 1e-6, dtype=torch.float64), atol=1e-11)
    assert float(apart[[0, 1, 3, 4]].max()) == 0.0
    assert torch.equal(sketch(values[:, :20]), values[:, :20])
