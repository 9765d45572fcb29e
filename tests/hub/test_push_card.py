"""`convert`, `push`, and the model in the repo: the card names the repo, and everything there verifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.cards import blocks, commands
from helpers.hub import Hub
from helpers.hub.command import prenorm
from helpers.hub.pushing import on_disk, on_hub, untouched
from helpers.paths import BPE, MLM

pytestmark = pytest.mark.slow

REPO = "lab/new-model"


def test_convert_then_push_then_verify(hub: Hub, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "my-model"

    def run(*arguments: str | Path) -> str:
        done = prenorm(hub, home, *arguments)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    run("convert", MLM, folder, "--bpe-dir", BPE)
    before = untouched(folder)
    assert f"On the Hub, the card names {REPO}; the folder stays as it is" in run("push", folder, REPO)
    assert untouched(folder) == before
    there = on_hub(hub, REPO)
    assert there.keys() == on_disk(folder).keys()
    differing = {name for name, data in on_disk(folder).items() if there[name] != data}
    assert differing == {"README.md", "parity_report.json"}
    card = there["README.md"].decode()
    assert all(f'model_id = "{REPO}"\n' in block for block in blocks(card, "python"))
    assert commands(card)["verify"][-1] == REPO

    again = json.loads(run("push", folder, REPO, "--json"))
    assert again["sent"] == [] and again["adapted"] == ["README.md", "parity_report.json"]
    assert len(hub.requests("commit")) == 1

    report = json.loads(run("verify", MLM, REPO, "--json", "--strict"))
    assert report["verdict"] == "passed"
    listed = [check for check in report["checks"] if check["name"] == "other files"]
    assert all("other than parity_report.json lists" not in str(check) for check in listed)


def test_convert_and_push_at_once_is_the_same(hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    one, two = tmp_path / "one" / "model", tmp_path / "two" / "model"
    for arguments in (
        ("convert", MLM, one, "--bpe-dir", BPE, "--push", "lab/one"),
        ("convert", MLM, two, "--bpe-dir", BPE),
        ("push", two, "lab/one"),
    ):
        done = prenorm(hub, home, *arguments)
        assert done.returncode == 0, done.stderr
    assert "Nothing to send" in done.stdout
    assert len(hub.requests("commit")) == 1 and on_hub(hub, "lab/one") == on_disk(one)


def test_an_edited_card_goes_along(hub: Hub, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "my-model"
    assert prenorm(hub, home, "convert", MLM, folder, "--quiet").returncode == 0
    card = folder / "README.md"
    card.write_text(card.read_text().replace("---\n", "---\nlicense: mit\n", 1).replace("## Use", "Mine.\n\n## Use", 1))
    done = prenorm(hub, home, "push", folder, REPO)
    assert done.returncode == 0, done.stderr
    assert "README.md was edited since the conversion, and is sent with its edits" in done.stderr
    assert "does not state language and training data" in done.stderr
    there = on_hub(hub, REPO)["README.md"].decode()
    assert "license: mit\n" in there and "Mine.\n" in there and f'model_id = "{REPO}"\n' in there
    report = prenorm(hub, home, "verify", MLM, REPO, "--json")
    assert report.returncode == 0 and "README.md" not in json.dumps(json.loads(report.stdout)["checks"])
