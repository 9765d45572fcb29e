"""Real checkpoints, damaged at random where it hurts: whatever comes of it, no crash, no hang, no wrong number.

Run as part of the tests, a fixed and bounded number of cases. By hand, as many new ones as wanted:

    PRENORM_FUZZ=20000 .venv/bin/python -m pytest tests/checkpoint/test_fuzz.py

`torch.load` is the second opinion wherever damage gets through: what converts must hold the undamaged file's numbers, or
those that torch reads from the damaged one.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.checkpoints import save_edited
from helpers.hostile.mutations import Edit, edits, legacy_subject, rebuilt, zip_subject
from helpers.hostile.torch_reader import TorchReader, digest
from helpers.paths import CONVERTIBLE, FIXTURES, MLM
from prenorm import convert, inspect
from prenorm.errors import PrenormError
from prenorm.parts import open_checkpoint
from prenorm.source.contents import model_tensors

pytestmark = pytest.mark.slow

BY_HAND = int(os.environ.get("PRENORM_FUZZ", "0"))
HANG_SECONDS = 30
MAX_GROWTH_MB = 300
PATHS = [FIXTURES / name / "checkpoint.pt" for name in CONVERTIBLE]
# What the arguments say and where the description must say the same.
TOLD = {"encoder_attention_heads": "attention_heads", "dropout": "dropout", "activation_fn": "head_activation"}

Fuzz = Callable[..., None]


def bounded(share: float) -> settings:
    """So many cases: always the same in a test run, new ones by hand."""
    return settings(
        max_examples=max(int((BY_HAND or 600) * share), 1), derandomize=not BY_HAND, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip


def digests(path: Path) -> dict[str, str]:
    """The model's tensors as the reader sees them, held against the archive's checksums."""
    opened = open_checkpoint(path)
    found = {}
    for key, tensor in model_tensors(opened).items():
        opened.check_integrity(tensor)
        content = tensor.read().contiguous().reshape(-1)
        found[key] = digest(
            tensor.dtype, tensor.shape, content.view(_bytes()).numpy().tobytes() if content.numel() else b""
        )
    return found


def _bytes() -> Any:
    import torch

    return torch.uint8


def hang(*_: object) -> None:
    raise AssertionError(f"no answer after {HANG_SECONDS} seconds of the processor")


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """Examines one damaged file; counts what became of all of them."""
    folder = tmp_path_factory.mktemp("fuzz")
    reader = TorchReader()
    outcomes: Counter[str] = Counter()
    sound: dict[Path, tuple[dict[str, str], dict[str, Any]]] = {}
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGVTALRM, hang)

    def examine(original: Path, content: bytes, data_alone: bytes | None = None) -> None:
        if original not in sound:
            sound[original] = (digests(original), told(original))
        path = folder / "checkpoint.pt"
        path.write_bytes(content)
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS)
        try:
            outcomes[judge(path, *sound[original], reader, data_alone)] += 1
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    yield examine
    reader.close()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
    print(f"\nfuzzed: {dict(outcomes)}, {grown:.0f} MB more at the peak")
    assert grown < MAX_GROWTH_MB


def told(path: Path) -> dict[str, Any]:
    """What inspect says it converts to."""
    found = json.loads(json.dumps(inspect(path).to_dict()))
    return {"description": found["description"], "converts_to": found["converts_to"]}


def judge(
    path: Path, sound: dict[str, str], sound_told: dict[str, Any], reader: TorchReader, data_alone: bytes | None
) -> str:
    """What became of one file; anything that must not be is an assertion that fails, or another exception.

    `data_alone` is the file with none but the damage to the numbers themselves, where no sum covers these: torch may refuse
    the file for another damage, which changes no number.
    """
    try:
        now_told = told(path)
        if now_told["converts_to"] is None:
            return "refused"
        now = digests(path)
    except PrenormError as error:
        assert str(error).isprintable()
        return "refused"
    if now == sound and now_told == sound_told:
        return "as before"
    opinion = reader.read(path)
    if opinion is None:
        if now != sound and data_alone is not None:
            path.write_bytes(data_alone)
            opinion = reader.read(path)
        assert now == (opinion["tensors"] if opinion else sound), (
            "torch cannot load it, and the numbers are not what they were"
        )
    else:
        assert now in (sound, opinion["tensors"])
        for argument, name in TOLD.items():
            if now_told["description"][name] != sound_told["description"][name]:
                assert now_told["description"][name] == opinion["arguments"][argument]
    if zlib.crc32(path.read_bytes()) % 4 == 0:
        return converted(path, now)
    return "other numbers or settings, as torch reads them"


def converted(path: Path, now: dict[str, str]) -> str:
    """Converts it, and holds the folder against the digests."""
    output = path.with_name("out")
    try:
        convert(path, output)
    except PrenormError:
        return "refused by convert"
    try:
        held = (output / "model.safetensors").read_bytes()
        size = int.from_bytes(held[:8], "little")
        header = json.loads(held[8 : 8 + size])
        rows = json.loads((output / "parity_report.json").read_text())["tensors"]
        for row in rows:
            if row["operation"] == "copy" and row["target"] is not None:
                entry = header[row["target"]]
                start, end = (8 + size + offset for offset in entry["data_offsets"])
                dtype = now[row["source"]].split()[0]
                assert digest(dtype, tuple(entry["shape"]), held[start:end]) == now[row["source"]]
    finally:
        shutil.rmtree(output)
    return "converted, with other numbers or settings"


@bounded(0.3)
@given(path=st.sampled_from(PATHS), damage=edits(["pickle", "headers", "directory", "end", "storages", "anywhere"]))
def test_damaged_zip(fuzz: Fuzz, path: Path, damage: list[Edit]) -> None:
    fuzz(path, zip_subject(path).damaged(damage))


@bounded(0.4)
@given(path=st.sampled_from(PATHS), damage=edits(["pickle", "pickle", "pickle", "anywhere"]))
def test_damaged_pickle_behind_sound_sums(fuzz: Fuzz, path: Path, damage: list[Edit]) -> None:
    fuzz(path, rebuilt(path, damage))


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fixture as torch before 1.6 would have saved it."""
    path = tmp_path_factory.mktemp("legacy") / "mlm.pt"
    return save_edited(path, lambda content: None, _use_new_zipfile_serialization=False, source=MLM)


@bounded(0.3)
@given(damage=edits(["pickle", "pickle", "header", "keys", "counts", "storages", "anywhere"]))
def test_damaged_legacy_stream(fuzz: Fuzz, legacy: Path, damage: list[Edit]) -> None:
    subject = legacy_subject(legacy)
    damaged, start = subject.damaged(damage), subject.regions["storages"][0][0]
    fuzz(legacy, damaged, subject.data[:start] + damaged[start - len(subject.data) :])


def test_a_flipped_number_and_what_only_torch_refuses(fuzz: Fuzz, legacy: Path) -> None:
    """In one file: a changed bit of a tensor, which no sum of a legacy stream covers, and a class that does not exist."""
    subject = legacy_subject(legacy)
    start = subject.regions["storages"][0][0]
    data = bytearray(subject.data)
    data[data.index(b"\nNamespace\n") + 3] ^= 1
    bias = torch.load(legacy, weights_only=False)["model"]["encoder.lm_head.bias"]
    data[data.index(bias.numpy().tobytes())] ^= 1
    fuzz(legacy, bytes(data), subject.data[:start] + bytes(data)[start:])
