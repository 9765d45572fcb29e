"""The kill table: every fault is caught by `verify`, by the check that should see it. The known script's gate beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from helpers import distance_table
from helpers.folder_faults import FAULTS, Fault
from helpers.gate import passes, prepared_for
from helpers.kill_table import SOURCES, TABLE, VARIANTS, cells, parse
from helpers.paths import BPE, FIXTURES
from prenorm import convert
from prenorm.commands.verify import verify

pytestmark = pytest.mark.slow

CASES = [(fault, kind) for fault in FAULTS for kind in fault.kinds]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A sound folder of each kind, made once."""
    base, made = tmp_path_factory.mktemp("sound"), {}

    def folder(kind: str) -> Path:
        if kind not in made:
            name, options = SOURCES[kind]
            made[kind] = convert(VARIANTS / name / "checkpoint.pt", base / kind, **options).output  # type: ignore[arg-type]
        return Path(made[kind])

    return folder


def checkpoint_of(kind: str) -> Path:
    return VARIANTS / SOURCES[kind][0] / "checkpoint.pt"


@pytest.mark.parametrize(("fault", "kind"), CASES, ids=lambda word: getattr(word, "name", word))
def test_fault_is_killed(
    fault: Fault, kind: str, sound: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(sound(kind), folder)
    (folder / "parity_report.json").unlink()  # whatever the folder says of itself is not asked
    fault.plant(folder, monkeypatch)
    report = verify(checkpoint_of(kind), folder, **SOURCES[kind][1])
    failed = [check.name for check in report.checks if not check.passed]
    assert not report.passed
    assert set(fault.seen_by) <= set(failed)
    assert report.disagreements
    gate = passes(prepared_for(checkpoint_of(kind), report.target["task"]), folder)  # type: ignore[arg-type]
    assert parse(TABLE)[fault.name][kind] == cells(failed, gate)
    if kind == "masked-lm":
        assert distance_table.is_as_before(distance_table.distance(report), distance_table.parse()[fault.name][0])


@pytest.mark.parametrize("kind", SOURCES)
def test_without_a_fault_it_passes(kind: str, sound: Callable[[str], Path]) -> None:
    report = verify(checkpoint_of(kind), sound(kind), **SOURCES[kind][1])
    assert report.passed
    assert report.disagreements == ()
    assert report.divergence is None
    assert passes(prepared_for(checkpoint_of(kind), str(report.target["task"])), sound(kind))


def test_a_missing_second_bias_of_an_untied_head(tmp_path: Path) -> None:
    source = VARIANTS / "untied" / "checkpoint.pt"
    folder = convert(source, tmp_path / "out").output
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.decoder.bias"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    report = verify(source, folder)
    assert any("'lm_head.decoder.bias' was planned and is not in the files" in text for text in report.disagreements)


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("scaled-embedding", "roberta_prelayernorm.embeddings.word_embeddings.weight"),
        ("scaled-embedding", "lm_head.decoder.weight"),
    ],
)
def test_a_forgotten_scale(variant: str, name: str, tmp_path: Path) -> None:
    source = VARIANTS / variant / "checkpoint.pt"
    folder = convert(source, tmp_path / "out").output
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name] * (0.25 if "embeddings" in name else 4.0)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    report = verify(source, folder)
    assert {"tensors", "logits"} <= {check.name for check in report.checks if not check.passed}


def test_swapped_norms_of_deepspeed(tmp_path: Path) -> None:
    """The names of the kernel mislead: `attn_n` is the norm of the feed-forward block."""
    source = FIXTURES / "dinkytrain-deepspeed-fp16" / "checkpoint.pt"
    folder = convert(source, tmp_path / "out", bpe_dir=BPE).output
    tensors = load_file(folder / "model.safetensors")
    for n in range(3):
        at = f"roberta_prelayernorm.encoder.layer.{n}."
        for part in ("weight", "bias"):
            one, other = f"{at}attention.LayerNorm.{part}", f"{at}intermediate.LayerNorm.{part}"
            tensors[one], tensors[other] = tensors[other], tensors[one]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    report = verify(source, folder, bpe_dir=BPE)
    assert not report.passed
    assert report.divergence is not None
    assert report.divergence.hint == "the two norms of a layer are swapped"
