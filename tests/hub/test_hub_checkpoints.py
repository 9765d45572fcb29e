"""Checkpoints and folders from the Hub: hf:// addresses, what comes along, and what is left behind when it goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from safetensors.torch import load_file, save

from helpers.hub import DropInAnswer, Hub, Status, WrongContent
from helpers.hub.command import prenorm
from helpers.paths import FIXTURES, ROOT, SCRIPTS
from helpers.waiting import PATIENCE

pytestmark = pytest.mark.slow

VARIANTS = FIXTURES / "variants"
REPO = "lab/training"
SOURCE = VARIANTS / "activation-gelu"
SCHEMA = Draft202012Validator(json.loads((ROOT / "converter" / "prenorm" / "reports" / "schema.json").read_text()))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def files(folder: Path, *more: str) -> dict[str, bytes]:
    """The checkpoint's files of a fixture, below `runs/1` as in a repo of somebody's trainings."""
    names = [path.name for path in folder.iterdir() if path.suffix == ".pt" or path.name in ("dict.txt", *more)]
    return {f"runs/1/{name}": (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("form", ["", "@dev", "@COMMIT", "early", "early ref", "@refs/pr/1"])
def test_a_checkpoint_by_its_address(form: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    commit = hub.seed(REPO, files(SOURCE))
    repo = hub.storage.repo(REPO)
    assert repo is not None
    if form:
        repo.refs["refs/heads/dev"] = repo.refs["refs/pr/1"] = commit.oid
        hub.storage.save(repo)
        hub.seed(REPO, {"runs/1/checkpoint.pt": b"another"})
    early = {"early": "@dev", "early ref": "@refs/pr/1"}.get(form, "")
    late = form.replace("COMMIT", commit.oid) if not early else ""
    address = f"hf://{REPO}{early}/runs/1/checkpoint.pt{late}"
    done = prenorm(hub, home, "convert", address, tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "parity_report.json").read_text())
    SCHEMA.validate(report)
    assert report["source"]["hub"] == {"repo_id": REPO, "path": "runs/1/checkpoint.pt", "commit": commit.oid}
    assert report["source"]["sha256"] == commit.files["runs/1/checkpoint.pt"].sha256
    assert [logged.path.rpartition("/")[2] for logged in hub.requests("resolve")].count("dict.txt") > 0


def test_inspect_verify_and_record(hub: Hub, home: Path, tmp_path: Path) -> None:
    head = hub.seed(REPO, files(SOURCE))
    address = f"hf://{REPO}/runs/1/checkpoint.pt@{head.oid[:12]}"
    seen = prenorm(hub, home, "inspect", address, "--json")
    assert seen.returncode == 0 and json.loads(seen.stdout)["converts_to"]["model_type"] == "roberta-prelayernorm"
    out, golden = tmp_path / "out", tmp_path / "golden.safetensors"
    assert prenorm(hub, home, "convert", SOURCE / "checkpoint.pt", out, "--quiet").returncode == 0
    report = tmp_path / "report.json"
    done = prenorm(hub, home, "verify", address, out, "--quiet", "--report", report)
    assert done.returncode == 0, done.stderr
    content = json.loads(report.read_text())
    SCHEMA.validate(content)
    assert content["source"]["hub"]["commit"] == head.oid
    assert prenorm(hub, home, "record", address, golden).returncode == 0
    hub.seed("lab/model", out)
    by_golden = prenorm(hub, home, "verify", "lab/model", "--golden", golden, "--json")
    assert by_golden.returncode == 0, by_golden.stderr
    hub.seed("lab/model", {"config.json": (out / "config.json").read_bytes().replace(b'"gelu"', b'"relu"')})
    assert prenorm(hub, home, "verify", "lab/model", "--golden", golden, "--quiet").returncode == 1
    before = hub.commits("lab/model")[1].oid
    assert prenorm(hub, home, "verify", address, "lab/model", "--revision", before, "--quiet").returncode == 0


@pytest.mark.parametrize(
    ("fixture", "first"),
    [("fsdp-shards", "checkpoint_last-shard0.pt"), ("model-parallel-parts", "checkpoint_last-model_part-0.pt")],
)
def test_the_other_parts_come_along(fixture: str, first: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    hub.seed(REPO, {**files(VARIANTS / fixture), "runs/1/other.pt": b"x" * 1000, "dict.txt": b"not this one"})
    address = f"hf://{REPO}/runs/1/{first}"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert prenorm(hub, home, "convert", VARIANTS / fixture / first, ours, "--quiet").returncode == 0
    done = prenorm(hub, home, "convert", address, theirs, "--quiet")
    assert done.returncode == 0, done.stderr
    assert (theirs / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    fetched = {logged.path.rpartition("/")[2] for logged in hub.requests("resolve")}
    assert fetched == {Path(name).name for name in files(VARIANTS / fixture)}


def test_a_wrong_byte_on_the_way(hub: Hub, home: Path, tmp_path: Path) -> None:
    hub.seed(REPO, files(SOURCE))
    address = f"hf://{REPO}/runs/1/checkpoint.pt"
    hub.faults.add("content", WrongContent(), method="GET", path="/storage/", times=None)
    for verb, where in (("convert", tmp_path / "out"), ("record", tmp_path / "golden"), ("inspect", None)):
        done = prenorm(hub, home, verb, address, *([where] if where else []))
        assert done.returncode == 4 and "checkpoint.pt" in done.stderr and "SHA-256" in done.stderr
        assert where is None or not where.exists()
    assert not (tmp_path / "golden").exists() and not any(path.name == "out" for path in tmp_path.iterdir())
    hub.faults.clear()  # and nothing wrong has stayed in the cache
    hub.faults.add("content", WrongContent(), method="GET", path="/storage/")
    assert prenorm(hub, home, "convert", address, tmp_path / "out", "--quiet").returncode == 0


def test_a_wrong_byte_of_a_folder(hub: Hub, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert prenorm(hub, home, "convert", SOURCE / "checkpoint.pt", out, "--quiet").returncode == 0
    hub.seed("lab/model", out)
    hub.faults.add("content", WrongContent(), method="GET", path="/storage/", times=None)
    done = prenorm(hub, home, "verify", SOURCE / "checkpoint.pt", "lab/model")
    assert done.returncode == 4 and "model.safetensors" in done.stderr
    hub.faults.clear()
    assert prenorm(hub, home, "verify", SOURCE / "checkpoint.pt", "lab/model", "--quiet").returncode == 0


def test_of_two_sets_of_weights_the_one_that_loaders_take_is_judged(hub: Hub, home: Path, tmp_path: Path) -> None:
    """The single file, where there is an index beside it."""
    out = tmp_path / "out"
    assert prenorm(hub, home, "convert", SOURCE / "checkpoint.pt", out, "--quiet").returncode == 0
    sound = load_file(out / "model.safetensors")
    other = {name: tensor + 1 for name, tensor in sound.items()}
    shard, index = "model-00001-of-00001.safetensors", "model.safetensors.index.json"
    listed = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(sound, shard)}).encode()
    for single, sharded, code in ((sound, other, 0), (other, sound, 1)):
        weights = {
            name: save(tensors, {"format": "pt"}) for name, tensors in (("model.safetensors", single), (shard, sharded))
        }
        hub.seed("lab/model", {"config.json": (out / "config.json").read_bytes(), index: listed, **weights})
        done = prenorm(hub, home, "verify", SOURCE / "checkpoint.pt", "lab/model", "--quiet")
        assert done.returncode == code, done.stderr


def test_a_dropped_download_goes_on(hub: Hub, home: Path, tmp_path: Path) -> None:
    hub.seed(REPO, {**files(SOURCE)})
    hub.faults.add("content", DropInAnswer(), method="GET", path="/storage/")
    hub.faults.add("info", Status(503))
    address = f"hf://{REPO}/runs/1/checkpoint.pt"
    done = prenorm(hub, home, "convert", address, tmp_path / "out", "--quiet")
    assert done.returncode == 0 and not hub.faults.pending(), done.stderr
    count = len(hub.requests("content"))
    assert prenorm(hub, home, "convert", address, tmp_path / "out", "--overwrite", "--quiet").returncode == 0
    assert len(hub.requests("content")) == count  # it is in the cache


WRONG: dict[str, tuple[str, int, str]] = {
    "no such file": (f"hf://{REPO}/runs/1/none.pt", 2, "has no file 'runs/1/none.pt'"),
    "no such repo": ("hf://lab/none/x.pt", 5, "no such repo"),
    "no such revision": (f"hf://{REPO}/runs/1/checkpoint.pt@none", 5, "no such revision"),
    "no path": (f"hf://{REPO}", 2, "is no file on the Hub"),
    "a folder": (f"hf://{REPO}/runs/1/", 2, "is no file on the Hub"),
    "two revisions": (f"hf://{REPO}@a/x.pt@b", 2, "is no file on the Hub"),
    "no revision behind the @": (f"hf://{REPO}/x.pt@", 2, "is no file on the Hub"),
    "out of the repo": (f"hf://{REPO}/../x.pt", 2, "is no file on the Hub"),
    "no repo id": ("hf://-/--/x.pt", 2, "is no repo id"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_address_that_leads_nowhere(name: str, hub: Hub, home: Path, tmp_path: Path) -> None:
    address, code, said = WRONG[name]
    hub.seed(REPO, files(SOURCE))
    done = prenorm(hub, home, "convert", address, tmp_path / "out")
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_a_private_repo_without_a_token(hub: Hub, home: Path) -> None:
    hub.seed(REPO, files(SOURCE), private=True)
    address = f"hf://{REPO}/runs/1/checkpoint.pt"
    done = prenorm(hub, home, "inspect", address, token=None)
    assert done.returncode == 5 and "private" in done.stderr and "hf auth login" in done.stderr
    assert prenorm(hub, home, "inspect", address).returncode == 0


@pytest.mark.slow
def test_the_whole_circle(hub: Hub, home: Path, tmp_path: Path) -> None:
    """A real checkpoint, over a Hub that drops the connection twice, to transformers, which computes the same there."""
    import subprocess
    import sys

    from helpers.hub import DropBeforeAnswer, DropInBody
    from helpers.hub.command import environment

    source = FIXTURES / "dinkytrain-mlm" / "checkpoint.pt"
    hub.seed(REPO, {"ckpt.pt": source.read_bytes(), "dict.txt": source.with_name("dict.txt").read_bytes()})
    out, address = tmp_path / "out", f"hf://{REPO}/ckpt.pt"
    done = prenorm(hub, home, "convert", address, out, "--bpe-dir", FIXTURES / "gpt2_bpe", "--quiet")
    assert done.returncode == 0, done.stderr
    hub.faults.add("lfs-upload", DropInBody())
    hub.faults.add("commit", DropBeforeAnswer())
    pushed = prenorm(hub, home, "push", out, "lab/model", "--json")
    assert pushed.returncode == 0 and not hub.faults.pending(), pushed.stderr
    assert pushed.stderr.count("again in") == 2
    assert len(hub.commits("lab/model")) == 2
    assert json.loads(pushed.stdout)["commit"] == hub.commits("lab/model")[0].oid
    verified = prenorm(hub, home, "verify", address, "lab/model", "--bpe-dir", FIXTURES / "gpt2_bpe", "--json")
    assert verified.returncode == 0, verified.stderr
    loaded = subprocess.run(
        [sys.executable, str(SCRIPTS / "load_from_hub.py"), "lab/model", str(out)],
        capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment(hub, tmp_path / "another home"),
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    found: dict[str, Any] = json.loads(loaded.stdout)
    assert found["class"] == "RobertaPreLayerNormForMaskedLM" and found["equal"] and found["same_tokens"]
    shutil.rmtree(out)


@pytest.mark.parametrize(("option", "asked"), [((), 3), (("--retries", "0"), 1)])
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_downloads_are_repeated_as_often_as_the_option_says(
    command: str, option: tuple[str, ...], asked: int, hub: Hub, home: Path
) -> None:
    arguments = {"inspect": [f"hf://{REPO}/runs/1/checkpoint.pt"], "verify": [SOURCE / "checkpoint.pt", REPO]}[command]
    done = prenorm(hub, home, command, *arguments, *option, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 5 and done.stderr.count("again in") == asked - 1, done.stderr
