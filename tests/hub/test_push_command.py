"""`prenorm push` as a user runs it, when the Hub does what it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.hub import READER, STRANGER, WRITER, Hub, Token
from helpers.hub.command import prenorm
from helpers.hub.pushing import CONTENT, on_disk, on_hub, publishable, untouched, write_report

REPO = "lab/model"
READS = {"GET", "HEAD"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publishable(tmp_path / "folder")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def answer(hub: Hub, home: Path, *arguments: str | Path, **options: Any) -> dict[str, Any]:
    """What --json says of a push that succeeds."""
    done = prenorm(hub, home, "push", *arguments, "--json", **options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def test_a_folder_goes_up_once(hub: Hub, home: Path, folder: Path) -> None:
    before = untouched(folder)
    done = prenorm(hub, home, "push", folder, REPO)
    assert done.returncode == 0 and done.stderr == ""
    head = hub.commits(REPO)[0]
    assert done.stdout.splitlines()[-1] == f"{hub.endpoint}/{REPO}/commit/{head.oid}"
    assert on_hub(hub, REPO) == on_disk(folder)
    assert not hub.is_private(REPO)
    assert (head.title, head.message) == (
        "Model converted and proven by prenorm 0",
        f"All numbers are in parity_report.json. SHA-256 of the checkpoint: {'0' * 64}.",
    )
    again = prenorm(hub, home, "push", folder, REPO)
    assert again.returncode == 0 and "Nothing to send" in again.stdout
    assert again.stdout.splitlines()[-1] == f"{hub.endpoint}/{REPO}/commit/{head.oid}"
    assert len(hub.requests("commit")) == 1 and len(hub.requests("lfs-upload")) == 1
    assert untouched(folder) == before


def test_json(hub: Hub, home: Path, folder: Path) -> None:
    first = answer(hub, home, folder, REPO, "--message", "Our model")
    head = hub.commits(REPO)[0]
    assert head.title == "Our model"
    assert first == {
        "repo_id": REPO, "revision": "main", "url": f"{hub.endpoint}/{REPO}/commit/{head.oid}", "commit": head.oid,
        "pull_request": False, "created": True, "dry_run": False, "removed": [], "unchanged": [], "others": [],
        "adapted": [], "notes": [],
        "sent": [{"name": name, "bytes": (folder / name).stat().st_size} for name in sorted(on_disk(folder), key=last)],
    }  # fmt: skip
    again = answer(hub, home, folder, REPO)
    assert again["sent"] == [] and again["commit"] == head.oid and not again["created"]
    assert again["unchanged"] == names(first["sent"])


def last(name: str) -> tuple[bool, str]:
    """The report stands behind what it lists."""
    return name == "parity_report.json", name


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_only_reads(hub: Hub, home: Path, folder: Path, there: bool) -> None:
    if there:
        hub.seed(REPO, {"config.json": CONTENT["config.json"], "theirs.txt": b"theirs"})
    found = answer(hub, home, folder, REPO, "--dry-run")
    wanted = [name for name in sorted(on_disk(folder), key=last) if not (there and name == "config.json")]
    assert found["sent"] == [{"name": name, "bytes": (folder / name).stat().st_size} for name in wanted]
    assert found["unchanged"] == (["config.json"] if there else []) and found["others"] == ["theirs.txt"] * there
    assert found["dry_run"] and found["url"] is None
    assert {logged.method for logged in hub.log} <= READS and hub.has(REPO) == there
    shown = prenorm(hub, home, "push", folder, REPO, "--dry-run", token=None).stdout
    assert "51,200" in shown and "to send" in shown and "Nothing was sent" in shown


@pytest.mark.slow
def test_a_private_repo(hub: Hub, home: Path, folder: Path) -> None:
    answer(hub, home, folder, REPO, "--private")
    assert hub.is_private(REPO)
    assert answer(hub, home, folder, REPO, "--private")["sent"] == []
    hub.seed("lab/open", {})
    done = prenorm(hub, home, "push", folder, "lab/open", "--private")
    assert done.returncode == 2 and "it is public" in done.stderr
    assert not on_hub(hub, "lab/open")


@pytest.mark.slow
def test_a_branch_is_made_if_there_is_none(hub: Hub, home: Path, folder: Path) -> None:
    hub.seed(REPO, {"config.json": CONTENT["config.json"]})
    found = answer(hub, home, folder, REPO, "--revision", "a/b")
    assert found["revision"] == "a/b" and "config.json" in found["unchanged"]
    assert on_hub(hub, REPO, "a/b") == on_disk(folder)
    assert set(on_hub(hub, REPO)) == {"config.json"}
    assert answer(hub, home, folder, REPO, "--revision", "a/b")["sent"] == []
    assert len(hub.requests("branch")) == 1 and len(hub.requests("commit")) == 1


def test_a_branch_of_a_repo_that_is_not_there(hub: Hub, home: Path, folder: Path) -> None:
    answer(hub, home, folder, REPO, "--revision", "dev")
    assert on_hub(hub, REPO, "dev") == on_disk(folder) and not on_hub(hub, REPO)


@pytest.mark.slow
def test_a_pull_request_to_somebody_elses_repo(hub: Hub, home: Path, folder: Path) -> None:
    hub.seed(REPO, {"theirs.txt": b"theirs\n"})
    found = answer(hub, home, folder, REPO, "--pull-request", token=STRANGER)
    assert found["pull_request"] and found["url"] == f"{hub.endpoint}/{REPO}/discussions/1"
    assert on_hub(hub, REPO, "refs/pr/1") == on_disk(folder) and not on_hub(hub, REPO)
    again = answer(hub, home, folder, REPO, "--pull-request", token=STRANGER)
    assert again["url"] == found["url"] and again["sent"] == [] and again["commit"] == found["commit"]
    assert len(hub.pull_requests(REPO)) == 1 and len(hub.requests("commit")) == 1
    done = prenorm(hub, home, "push", folder, REPO, "--pull-request", "--revision", "dev")
    assert done.returncode == 2 and "--revision" in done.stderr


@pytest.mark.slow
def test_another_conversion_sends_what_changed_and_takes_away_its_own(hub: Hub, home: Path, tmp_path: Path) -> None:
    shards = {f"model-{n}-of-2.safetensors": bytes([n]) * 5000 for n in (1, 2)}
    rest = {name: content for name, content in CONTENT.items() if name != "model.safetensors"}
    first = publishable(tmp_path / "first", {**rest, **shards})
    hub.seed(REPO, {"theirs.bin": b"theirs", "theirs.txt": b"theirs"})
    answer(hub, home, first, REPO)
    second = publishable(tmp_path / "second", {**CONTENT, "config.json": b'{"model_type": "other"}\n'})
    found = answer(hub, home, second, REPO)
    assert names(found["sent"]) == ["config.json", "model.safetensors", "parity_report.json"]
    assert found["removed"] == sorted(shards) and found["others"] == ["theirs.bin", "theirs.txt"]
    assert on_hub(hub, REPO) == {**on_disk(second), "theirs.bin": b"theirs"}
    assert len(hub.requests("commit")) == 2


def _edit(name: str, content: bytes) -> Any:
    return lambda folder: (folder / name).write_bytes(content)


def _report(**values: Any) -> Any:
    return lambda folder: write_report(folder, **values)


def _broken(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(folder / "nowhere")


REFUSED = {
    "no report": (lambda folder: (folder / "parity_report.json").unlink(), 2, "has no parity_report.json"),
    "no folder": (lambda folder: [*map(Path.unlink, folder.iterdir()), folder.rmdir()], 2, "is no folder"),
    "report is no JSON": (_edit("parity_report.json", b"{"), 2, "is no JSON"),
    "report is deep": (_edit("parity_report.json", b"[" * 100_000), 2, "is no JSON"),
    "report is a list": (_edit("parity_report.json", b"[]"), 2, "is no parity report"),
    "report is empty": (_edit("parity_report.json", b"{}"), 2, "is no parity report"),
    "report of a verification": (_report(target={"folder": "x"}), 2, "it is of a verification"),
    "failed": (_report(passed=False, verdict="failed"), 1, "the verdict is 'failed'"),
    "not judged": (_report(passed=False, verdict="not judged"), 1, "the verdict is 'not judged'"),
    "passed, and said to have failed": (_report(verdict="failed"), 1, "the verdict is 'failed'"),
    "a check failed": (_report(checks=[{"name": "logits", "passed": False}]), 1, "(logits)"),
    "a check not judged": (_report(checks=[{"name": "logits", "passed": True, "judged": False}]), 1, "(logits)"),
    "disagreements": (_report(disagreements=["something"]), 1, "the verdict is"),
    "no card": (lambda folder: (folder / "README.md").unlink(), 1, "'README.md' is missing"),
    "changed weights": (_edit("model.safetensors", b"\1" + CONTENT["model.safetensors"][1:]), 1, "'model.safetensors'"),
    "missing file": (lambda folder: (folder / "config.json").unlink(), 1, "'config.json' is missing"),
    "extra file": (_edit("notes.txt", b"x"), 1, "'notes.txt' is not in the report"),
    "extra folder": (lambda folder: (folder / "runs").mkdir(), 1, "'runs' is not in the report"),
    "dangling link": (_broken, 1, "'config.json'"),
    "a path for a name": (
        _report(target={"files": [{"name": "../x", "sha256": "0"}]}), 2, "lists files in a way that is not ours",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_was_not_proven_is_not_sent(
    name: str, hub: Hub, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: nothing of the Hub is asked, so there is nothing to set up for it."""
    from helpers.commands import run_main

    spoil, code, said = REFUSED[name]
    spoil(folder)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    assert run_main(monkeypatch, "push", folder, REPO, "--quiet") == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert str(folder) in error.replace("\n", "")
    assert not hub.log


def test_a_link_to_the_right_content_is_that_content(hub: Hub, home: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").rename(tmp_path / "elsewhere")
    (folder / "config.json").symlink_to(tmp_path / "elsewhere")
    answer(hub, home, folder, REPO)
    assert on_hub(hub, REPO) == on_disk(folder)


def test_the_token_of_the_cached_login(hub: Hub, home: Path, folder: Path) -> None:
    home.mkdir()
    (home / "token").write_text(WRITER.secret + "\n")
    answer(hub, home, folder, REPO, token=None)
    assert on_hub(hub, REPO) == on_disk(folder)


def test_nobody_is_told_to_log_in(hub: Hub, home: Path, folder: Path) -> None:
    done = prenorm(hub, home, "push", folder, REPO, token=None)
    assert done.returncode == 5 and "no token is given" in done.stderr and "hf auth login" in done.stderr
    assert not hub.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "repo", "said"),
    [
        (READER, "lab/open", "has not the right needed for uploading"),
        (READER, "lab/new", "has not the right needed for creating the repo"),
        (STRANGER, "lab/open", "role 'write'"),
        (STRANGER, "lab/private", "has not the right needed for creating the repo"),
        (Token("hf_unknownUnknownUnknown"), "lab/open", "does not accept the token"),
    ],
)
def test_who_may_not(hub: Hub, home: Path, folder: Path, token: Token, repo: str, said: str) -> None:
    hub.seed("lab/open", {})
    hub.seed("lab/private", {}, private=True)
    done = prenorm(hub, home, "--debug", "push", folder, repo, token=token)
    assert done.returncode == 5
    assert said in done.stderr.splitlines()[-1] + done.stderr
    assert not hub.has("lab/new") and not on_hub(hub, "lab/open")


@pytest.mark.slow
@pytest.mark.parametrize(
    "secret", ["hf_é" + "secret" * 4, "hf_" + "secret" * 4 + "\nX-Header: 1", "hf_" + "secret" * 4 + "\x7f"]
)
def test_a_token_that_cannot_be_sent(hub: Hub, home: Path, folder: Path, secret: str) -> None:
    done = prenorm(hub, home, "--debug", "push", folder, REPO, HF_TOKEN=secret)
    assert done.returncode == 5
    assert "secretsecret" not in done.stdout + done.stderr
    assert "token" in done.stderr and not hub.has(REPO)


def test_offline(hub: Hub, home: Path, folder: Path) -> None:
    done = prenorm(hub, home, "push", folder, REPO, HF_HUB_OFFLINE="1")
    assert done.returncode == 5 and "HF_HUB_OFFLINE" in done.stderr and not hub.log


def test_no_hub(hub: Hub, home: Path, folder: Path) -> None:
    done = prenorm(hub, home, "push", folder, REPO, "--retries", "1", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 5 and "tried 2 times" in done.stderr and "HF_ENDPOINT" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("repo", ["model/", "a/b/c", "-/--", "lab/.."])
def test_no_repo_id(hub: Hub, home: Path, folder: Path, repo: str) -> None:
    done = prenorm(hub, home, "push", folder, "--", repo)
    assert done.returncode == 2 and "is no repo id" in done.stderr


def test_a_card_that_the_hub_refuses(hub: Hub, home: Path, tmp_path: Path) -> None:
    card = {"README.md": b"---\nlanguage: English\n---\n"}
    folder = publishable(tmp_path / "folder", {**CONTENT, **card})
    done = prenorm(hub, home, "push", folder, REPO)
    assert done.returncode == 2 and "README.md" in done.stderr and "ISO 639" in done.stderr
    assert len(hub.commits(REPO)) == 1


def test_an_ignored_file_is_told(hub: Hub, home: Path, folder: Path) -> None:
    hub.seed(REPO, {".gitignore": b"*.safetensors\n"})
    done = prenorm(hub, home, "push", folder, REPO)
    assert done.returncode == 5 and "model.safetensors" in done.stderr and ".gitignore" in done.stderr
