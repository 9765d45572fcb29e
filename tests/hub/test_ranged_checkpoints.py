"""Large checkpoints on the Hub: how many bytes each command fetches, what is said of them, and what a wrong one ends in."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from helpers.hub import Hub, NoRanges, WrongContent, serve_hub
from helpers.hub.command import prenorm
from helpers.paths import FIXTURES, ROOT
from helpers.training_checkpoints import save_training
from prenorm.checkpoint import open_file
from prenorm.checkpoint.tensors import storages

pytestmark = pytest.mark.slow

REPO, NAME = "lab/training", "run/checkpoint_best.pt"
ADDRESS = f"hf://{REPO}/{NAME}"
SCHEMA = Draft202012Validator(json.loads((ROOT / "converter" / "prenorm" / "reports" / "schema.json").read_text()))
# The usual sizes, made for files of gigabytes, in proportion to one of a megabyte.
SMALL = {
    "prenorm.hub.checkpoints._SMALLEST_RANGED": 1,
    "prenorm.hub.checkpoints._HEAD": 2000,
    "prenorm.hub.ranges._GAP": 1000,
    "prenorm.checkpoint.container.ranged_file._HEAD": 2000,
    "prenorm.checkpoint.container.ranged_file._LEAST": 500,
    "prenorm.checkpoint.container.zip._TAIL": 3000,
    "prenorm.checkpoint.container.legacy._AHEAD": 2000,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint in both containers, one without Adam's state, and what the first converts to."""
    folder = tmp_path_factory.mktemp("made")
    save_training(folder / "zip.pt")
    save_training(folder / "legacy.pt", _use_new_zipfile_serialization=False)
    save_training(folder / "weights.pt", adam=False)
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def served(tmp_path: Path, made: dict[str, Path]) -> Iterator[Hub]:
    with serve_hub(tmp_path / "state") as hub:
        hub.seed(REPO, {NAME: made["zip"].read_bytes(), "run/legacy.pt": made["legacy"].read_bytes()})
        yield hub


def run(hub: Hub, folder: Path, *arguments: str | Path, **options: Any) -> tuple[Any, int]:
    """The command with its cache in `folder`, and how many bytes of large files the Hub sent for it."""
    before = len(hub.log)
    done = prenorm(hub, folder / "home", *arguments, changed=SMALL, **options)
    return done, sum(one.sent for one in hub.log[before:] if one.phase == "content")


def source_of(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "parity_report.json").read_text())
    SCHEMA.validate(report)
    source: dict[str, Any] = report["source"]
    return source


def weights_of(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of the storages of a checkpoint's model, in their order."""
    model = open_file(path).content["model"]
    assert isinstance(model, dict)
    digest, size = hashlib.sha256(), 0
    for file, spans in storages(model.values()).items():
        for span in spans:
            digest.update(file.view(span))
            size += span.size
    return size, digest.hexdigest()


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_each_command_fetches_what_it_reads_and_once(
    container: str, served: Hub, made: dict[str, Path], tmp_path: Path
) -> None:
    path = made[container]
    size, (weights, sha256) = path.stat().st_size, weights_of(path)
    assert weights < 0.45 * size  # more than a third: the LM head's copy has no moments
    address = ADDRESS if container == "zip" else f"hf://{REPO}/run/legacy.pt"
    seen, sent = run(served, tmp_path, "inspect", address, "--json")
    assert seen.returncode == 0, seen.stderr
    told = json.loads(seen.stdout)
    assert told["read"] <= sent <= 60_000 and told["size"] == size and told["description"]["tied"]
    before = len(served.log)
    out, ours = tmp_path / "out", tmp_path / "ours"
    done, more = run(served, tmp_path, "convert", address, out, "--quiet")
    assert done.returncode == 0, done.stderr
    assert weights < sent + more < weights + 120_000
    assert len(served.log) - before < (12 if container == "zip" else 60)  # whose storages lie in no order
    source = source_of(out)
    assert source["seen"]["tensor_bytes"] == weights and source["seen"]["tensor_sha256"] == sha256
    assert weights < source["seen"]["bytes"] <= sent + more and source["bytes"] == size
    assert source["announced_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and "sha256" not in source
    card = (out / "README.md").read_text()
    assert f"{source['seen']['bytes']:,} of {size:,} bytes were read from the Hub" in card and "was not checked" in card
    done, _ = run(served, tmp_path, "convert", path, ours, "--quiet")
    assert (out / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    report = tmp_path / "report.json"
    done, sent = run(served, tmp_path, "verify", address, out, "--quiet", "--report", report)
    assert (done.returncode, sent) == (0, 0), done.stderr
    assert json.loads(report.read_text())["source"]["seen"] == source["seen"]
    done, sent = run(served, tmp_path, "record", address, tmp_path / "golden", HF_HUB_OFFLINE="1")
    assert (done.returncode, sent) == (0, 0), done.stderr
    assert f"{source['seen']['bytes']:,} of {size:,} bytes read" in done.stdout.replace("\n", " ")


def test_a_head_of_another_row_than_the_table_is_seen_without_reading_either(served: Hub, tmp_path: Path) -> None:
    path = tmp_path / "untied.pt"
    save_training(path, edit=lambda state: state["encoder.lm_head.weight"][7].add_(1))
    served.seed(REPO, {"run/untied.pt": path.read_bytes()})
    done, sent = run(served, tmp_path, "inspect", f"hf://{REPO}/run/untied.pt", "--json")
    assert not json.loads(done.stdout)["description"]["tied"] and sent < 60_000


def test_verify_alone_fetches_the_weights(served: Hub, made: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(served, tmp_path, "convert", made["zip"], out, "--quiet")[0].returncode == 0
    done, sent = run(served, tmp_path, "verify", ADDRESS, out, "--quiet")
    weights, _ = weights_of(made["zip"])
    assert done.returncode == 0 and weights < sent < weights + 120_000, done.stderr


def test_all_of_it_is_fetched_and_checked_where_that_is_asked_for_or_costs_little(
    served: Hub, made: dict[str, Path], tmp_path: Path
) -> None:
    served.seed(REPO, {"run/weights.pt": made["weights"].read_bytes()})
    for number, (name, options) in enumerate((("zip", ["--whole"]), ("weights", []))):
        address = ADDRESS if name == "zip" else f"hf://{REPO}/run/weights.pt"
        out = tmp_path / f"out{number}"
        done, sent = run(served, tmp_path, "convert", address, out, "--quiet", *options)
        size = made[name].stat().st_size
        assert done.returncode == 0 and size <= sent <= size + 2000, (
            done.stderr
        )  # a few bytes between ranges come twice
        source = source_of(out)
        assert source["sha256"] == hashlib.sha256(made[name].read_bytes()).hexdigest()
        assert "seen" not in source and "announced_sha256" not in source
        assert source["sha256"] in (out / "README.md").read_text()
    copied = tmp_path / "copied.pt"
    copied.write_bytes(made["weights"].read_bytes())
    served.seed_file(REPO, "run/other.pt", copied, "5" * 64)
    done, _ = run(served, tmp_path, "convert", f"hf://{REPO}/run/other.pt", tmp_path / "no")
    assert done.returncode == 4 and "its SHA-256 differs" in done.stderr and not (tmp_path / "no").exists(), done.stderr
    served.faults.add("content", WrongContent(), method="GET", times=None)
    for address in (ADDRESS, f"hf://{REPO}/run/weights.pt"):
        done = prenorm(
            served, tmp_path / "other", "convert", address, tmp_path / "no", *(["--whole"] if address == ADDRESS else []),
            changed=SMALL,
        )  # fmt: skip
        assert done.returncode == 4 and not (tmp_path / "no").exists(), done.stderr


def test_a_whole_that_is_not_asked_of_the_hub_is_an_error(made: dict[str, Path], served: Hub, tmp_path: Path) -> None:
    done, _ = run(served, tmp_path, "convert", made["zip"], tmp_path / "out", "--whole")
    assert done.returncode == 2 and "--whole" in done.stderr and "not on the Hub" in done.stderr


def test_a_wrong_byte_among_the_weights_is_seen_by_the_files_own_sums(served: Hub, tmp_path: Path) -> None:
    served.faults.add("content", WrongContent(), method="GET", at=5, times=None)
    out = tmp_path / "out"
    done, _ = run(served, tmp_path, "convert", ADDRESS, out)
    assert done.returncode == 4 and "CRC-32" in done.stderr and not out.exists(), done.stderr
    served.faults.clear()
    done, _ = run(served, tmp_path, "convert", ADDRESS, out, "--quiet")  # it has not stayed in the cache
    assert done.returncode == 0, done.stderr


def test_a_server_without_ranges_gives_the_whole_file(served: Hub, made: dict[str, Path], tmp_path: Path) -> None:
    served.faults.add("content", NoRanges(), method="GET", times=None)
    done, _ = run(served, tmp_path, "convert", ADDRESS, tmp_path / "out")
    assert done.returncode == 0 and "fetched whole" in done.stderr, done.stderr
    assert source_of(tmp_path / "out")["sha256"] == hashlib.sha256(made["zip"].read_bytes()).hexdigest()


def moved_record(content: bytes) -> bytes:
    """The header of a weight's record says that its bytes begin 64 bytes later: within the record before the next."""
    archive = bytearray(content)
    at = archive.index(b"/data/0", archive.index(b"data.pkl"))
    header = archive.rindex(b"PK\x03\x04", 0, at)
    (extra,) = struct.unpack_from("<H", archive, header + 28)
    struct.pack_into("<H", archive, header + 28, extra + 64)
    return bytes(archive)


def other_count(content: bytes) -> bytes:
    """The number in front of a storage's elements is another than the pickle's."""
    table = open_file_of(content)
    at = content.index(table)
    return content[: at - 8] + struct.pack("<q", 7) + content[at:]


def open_file_of(content: bytes) -> bytes:
    import io

    loaded = torch.load(io.BytesIO(content), weights_only=False)
    found: bytes = loaded["model"]["encoder.sentence_encoder.embed_positions.weight"].numpy().tobytes()
    return found


@pytest.mark.parametrize(
    ("container", "damage", "said"),
    [("zip", moved_record, "record"), ("legacy", other_count, "its block 7")],
    ids=["zip", "legacy"],
)
def test_weights_that_do_not_lie_where_they_should_are_refused(
    container: str, damage: Any, said: str, served: Hub, made: dict[str, Path], tmp_path: Path
) -> None:
    served.seed(REPO, {"run/damaged.pt": damage(made[container].read_bytes())})
    address = f"hf://{REPO}/run/damaged.pt"
    assert run(served, tmp_path, "inspect", address)[0].returncode == 0  # which does not look there
    done, _ = run(served, tmp_path, "convert", address, tmp_path / "out")
    assert done.returncode == 4 and said in done.stderr and "damaged.pt" in done.stderr, done.stderr
    local = tmp_path / "damaged.pt"
    local.write_bytes(damage(made[container].read_bytes()))
    assert run(served, tmp_path, "convert", local, tmp_path / "out")[0].returncode == 4


@pytest.mark.parametrize(
    ("fixture", "first"),
    [("fsdp-shards", "checkpoint_last-shard0.pt"), ("model-parallel-parts", "checkpoint_last-model_part-0.pt")],
)
def test_parts_are_read_by_ranges_too(fixture: str, first: str, served: Hub, tmp_path: Path) -> None:
    folder = FIXTURES / "variants" / fixture
    names = [path.name for path in folder.iterdir() if path.suffix == ".pt" or path.name == "dict.txt"]
    served.seed(REPO, {f"parts/{name}": (folder / name).read_bytes() for name in names})
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert run(served, tmp_path, "convert", folder / first, ours, "--quiet")[0].returncode == 0
    done, sent = run(served, tmp_path, "convert", f"hf://{REPO}/parts/{first}", theirs, "--quiet")
    assert done.returncode == 0, done.stderr
    assert (theirs / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    parts = source_of(theirs)["parts"]
    assert [part["name"] for part in parts] == sorted(name for name in names if name.endswith(".pt"))
    total = sum(part["bytes"] for part in parts)
    assert sum(part["seen"]["bytes"] if "seen" in part else part["bytes"] for part in parts) <= sent <= total + 1000


def test_of_four_gigabytes_inspect_fetches_less_than_one_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    save_training(path, vocab=50265, hidden=1024, layers=24, empty=True)
    size = path.stat().st_size
    assert size > 4_000_000_000
    with serve_hub(tmp_path / "state") as hub:
        hub.seed_file(REPO, NAME, path, "5" * 64)
        done = prenorm(hub, tmp_path / "home", "inspect", ADDRESS, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["size"] == size and told["converts_to"]["model_type"] == "roberta-prelayernorm"
        sent = sum(one.sent for one in hub.requests("content"))
        assert told["read"] <= sent < 1_000_000
        assert len(hub.log) < 15
