"""The options that are about the Hub, against one on this machine, with the real client."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import torch

from helpers.commands import run_script
from helpers.hub import READER, WRITER, client_environment, serve_hub
from helpers.model_pairs import SMALL
from helpers.paths import OLD_HUB_PYTHON, ROOT, SCRIPTS
from helpers.waiting import PATIENCE
from prenorm_model import RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM

NET, CONFIG = "RobertaPreLayerNormForMaskedLM", "RobertaPreLayerNormConfig"
Answers = list[dict[str, Any]]


def load(source: str, cls: str = NET, **options: Any) -> dict[str, Any]:
    return {"do": "load", "class": cls, "source": source, "options": options}


def call(name: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    return {"do": name, "arguments": arguments, "options": options}


def ask(environment: dict[str, str], calls: list[dict[str, Any]], python: Path | None = None) -> Answers:
    """What comes of the calls, in a process that is forked from a warm one, or in a new one of an interpreter."""
    script = SCRIPTS / "bundled_model.py"
    if python is None:
        done = run_script(script, input=json.dumps(calls), env=environment)
    else:
        done = run(
            [str(python), str(script)],
            input=json.dumps(calls), capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: Answers = json.loads(done.stdout)
    return answers


def made(folder: Path, total: float) -> Path:
    """A small masked LM whose head's bias has that sum."""
    net = RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**SMALL, num_labels=3))
    with torch.no_grad():
        net.lm_head.bias[0] = total
    net.save_pretrained(folder, max_shard_size=12_000)
    return folder


@pytest.mark.slow
def test_a_repo_is_read_with_every_option(tmp_path: Path) -> None:
    with serve_hub(tmp_path / "state") as hub:
        first = hub.seed("lab/private", made(tmp_path / "first", 1.0), private=True)
        hub.seed("lab/private", made(tmp_path / "second", 2.0))
        inner = {f"inner/{path.name}": path.read_bytes() for path in made(tmp_path / "third", 3.0).iterdir()}
        hub.seed("lab/public", inner)
        cache, environment = str(tmp_path / "cache"), client_environment(hub, tmp_path / "home", token=None)
        token, here = READER.secret, {"cache_dir": cache, "token": READER.secret}
        answers = ask(environment, [
            load("lab/private", token=False),
            load("lab/private", token=token, local_files_only=True),
            load("lab/private", **here),
            load("lab/private", **here, revision=first.oid),
            load("lab/private", **here, revision="nowhere"),
            load("lab/public", cache_dir=cache),
            load("lab/public", cache_dir=cache, subfolder="inner"),
            load("lab/public", CONFIG, cache_dir=cache, subfolder="inner", num_labels=5),
            load("lab/public", cache_dir=cache, subfolder="inner", local_files_only=True),
        ])  # fmt: skip
        assert answers[0]["error"] == "RepositoryNotFoundError"
        assert answers[1]["error"] == "FileNotFoundError"
        assert "the cache has no config.json of lab/private" in answers[1]["text"]
        assert answers[1]["cause"] == "LocalEntryNotFoundError"
        assert [answer.get("sum") for answer in answers[2:4]] == [2.0, 1.0]
        assert answers[4]["error"] == "RevisionNotFoundError"
        assert (answers[5]["error"], answers[5]["text"]) == ("FileNotFoundError", "lab/public has no config.json")
        assert answers[6] == answers[8] == {"sum": 3.0}
        assert answers[7] == {"labels": 5, "from": "lab/public/inner"}
        assert all(logged.authorized for logged in hub.log if logged.repo == "lab/private" and logged.status == 200)
        assert not any(logged.authorized for logged in hub.log if logged.repo == "lab/public")
        before = len(hub.log)
        twice = ask(environment, [load("lab/private", **here), load("lab/private", **here, force_download=True)])
        assert twice == [{"sum": 2.0}, {"sum": 2.0}]
        paths = [(logged.method, logged.path.partition("/resolve/")) for logged in hub.log[before:]]
        asked = [(method, name) for method, (_, is_file, name) in paths if is_file]
        # Which commit is asked for once; then what is in the cache is not asked for, and all is of that commit.
        head = hub.commits("lab/private")[0].oid
        missing = ("HEAD", f"{head}/model.safetensors")  # the weights are in shards
        assert asked[:3] == [("HEAD", "main/config.json"), missing, ("HEAD", "main/config.json")], asked[:4]
        assert sum(method == "GET" for method, _ in paths) > 4
    assert not (tmp_path / "home" / "hub").exists()  # everything went to the other cache
    assert not [
        path for path in tmp_path.joinpath("cache").rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]
    there = [load("lab/private", CONFIG, **here), load("lab/private", CONFIG, **here, revision=first.oid)]
    gone = ask({**environment, "HF_HUB_OFFLINE": "1"}, [*there, load("lab/public", CONFIG)])
    assert [answer.get("labels") for answer in gone] == [3, 3, None]
    assert "the cache has no config.json of lab/public, and the Hub was not reached, or not asked" in gone[2]["text"]


@pytest.mark.slow
def test_a_folder_is_pushed_with_every_option(tmp_path: Path) -> None:
    with serve_hub(tmp_path / "state") as hub:
        environment = client_environment(hub, tmp_path / "home", token=None)
        out, token = tmp_path / "out", WRITER.secret
        shards = {"max_shard_size": 12_000}
        source = str(made(tmp_path / "first", 1.0))
        answers = ask(environment, [
            load(source),
            call("save_pretrained", str(out), push_to_hub=True, repo_id="lab/made", private=True, token=token, **shards),
            call("push_to_hub", "lab/made", token=token, commit_message="One file", commit_description="Why"),
            call("push_to_hub", "lab/made", token=token, revision="next", variant="fp16"),
            call("push_to_hub", "lab/made", token=token, create_pr=True, **shards),
            call("save_pretrained", str(tmp_path / "named"), push_to_hub=True, token=token),
            call("push_to_hub", "lab/made"),
            load(source, CONFIG, num_labels=7),
            call("push_to_hub", "lab/made", token=token, commit_message="The config"),
        ])  # fmt: skip
        failed = [answer for answer in answers if "error" in answer]
        assert [answer["error"] for answer in failed] == ["HfHubHTTPError"], failed  # the one without a token
        assert hub.is_private("lab/made")
        commits = hub.commits("lab/made")
        assert [commit.title for commit in commits][:3] == ["The config", "One file", "Upload a model"]
        assert commits[1].message == "Why"
        sharded, single = hub.files("lab/made", commits[2].oid), hub.files("lab/made", commits[1].oid)
        assert sum(name.startswith("model-") for name in sharded) > 2
        assert {name for name in single if name.startswith("model")} == {"model.safetensors"}
        assert "model.fp16.safetensors" in hub.files("lab/made", "next")
        assert len(hub.pull_requests("lab/made")) == 1
        assert json.loads(hub.files("lab/made")["config.json"])["id2label"]["6"] == "LABEL_6"
        assert "model.safetensors" in hub.files("lab/made")
        assert "model.safetensors" in hub.files("tester/named")
        written = [path for path in [*out.rglob("*"), *(tmp_path / "named").rglob("*")] if path.is_file()]
        assert written and not any(token.encode() in path.read_bytes() for path in written)
        assert not any(token.encode() in content for content in hub.files("lab/made").values())


@pytest.mark.slow
@pytest.mark.parametrize("python", [Path(sys.executable), OLD_HUB_PYTHON], ids=["2", "1"])
def test_a_config_comes_and_goes_with_either_client_and_without_a_framework(python: Path, tmp_path: Path) -> None:
    assert python.exists(), "the older huggingface_hub is not installed: run `make hub-env`"
    with serve_hub(tmp_path / "state") as hub:
        RobertaPreLayerNormConfig(num_labels=3).save_pretrained(tmp_path / "served")
        hub.seed("lab/config", tmp_path / "served", private=True)
        environment = client_environment(hub, tmp_path / "home", token=None, PYTHONPATH=str(ROOT / "model"))
        token = WRITER.secret
        answers = ask(environment, [
            load("lab/config", CONFIG, token=False),
            load("lab/config", CONFIG, token=token, revision="nowhere"),
            load("lab/config", CONFIG, token=token, subfolder="nowhere"),
            load("lab/config", CONFIG, token=token, local_files_only=True),
            load("lab/config", CONFIG, token=token, num_labels=5),
            load("lab/config", CONFIG, token=token, local_files_only=True),
            call("push_to_hub", "lab/config", token=token),
        ], python)  # fmt: skip
        assert [answer.get("error") for answer in answers[:4]] == [
            "RepositoryNotFoundError", "RevisionNotFoundError", "FileNotFoundError", "FileNotFoundError",
        ]  # fmt: skip
        assert answers[2]["text"] == "lab/config/nowhere has no config.json"
        assert "cache has no config.json of lab/config" in answers[3]["text"]
        assert [answer.get("labels") for answer in answers[4:6]] == [5, 3]
        assert "error" not in answers[6]
        assert len(hub.commits("lab/config")) == 2  # the last config that was loaded is what was there
