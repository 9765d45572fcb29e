"""Every kind of fault, seen by the real client: what it tries again by itself, what it does not, and what is left behind."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from helpers.hub import (
    WRITER,
    Delay,
    DropBeforeAnswer,
    DropBeforeBody,
    DropInAnswer,
    DropInBody,
    Garbage,
    Hub,
    Overtaken,
    Status,
    WrongContent,
    serve_hub,
)
from helpers.waiting import PATIENCE, wait_until
from helpers.workers import Ask

pytestmark = pytest.mark.slow

REPO = "lab/model"
WEIGHTS = {"do": "hf_hub_download", "repo_id": REPO, "filename": "model.safetensors"}


def push(folder: Path, **more: Any) -> dict[str, Any]:
    return {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder), "commit_message": "Ours", **more}


def titles(hub: Hub, revision: str = "main") -> list[str]:
    return [commit.title for commit in hub.commits(REPO, revision)]


BEFORE_THE_COMMIT = ("preupload", "lfs-batch", "lfs-upload", "lfs-verify")
PASSING = (Status(503), Status(429, {"Retry-After": "0"}), DropBeforeBody(), DropInBody(), DropBeforeAnswer())


def test_what_comes_before_the_commit_is_tried_again(hub: Hub, ask: Ask, tmp_path: Path) -> None:
    """All at the same time, each with a repo and a content of its own: most of it is the client's own wait."""
    cases = [(phase, action) for phase in BEFORE_THE_COMMIT for action in PASSING]
    calls = []
    for number, (phase, action) in enumerate(cases):
        repo, folder, content = f"lab/model-{number:02d}", tmp_path / str(number), bytes([0, number]) * 50_000
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(content)
        hub.seed(repo, {})
        where = hashlib.sha256(content).hexdigest() if phase == "lfs-upload" else repo
        hub.faults.add(phase, action, path=where)
        calls.append(push(folder, repo_id=repo))
    answers = ask(hub, {"do": "together", "calls": calls})[0]["answers"]
    assert not hub.faults.pending()
    for number, (phase, action) in enumerate(cases):
        repo, content = f"lab/model-{number:02d}", bytes([0, number]) * 50_000
        where = hashlib.sha256(content).hexdigest() if phase == "lfs-upload" else repo
        assert "error" not in answers[number], (phase, action)
        statuses = [logged.status for logged in hub.requests(phase) if where in logged.path]
        assert statuses == [getattr(action, "code", None), 200], (phase, action)
        assert answers[number]["seconds"] >= 1  # the client's own wait
        assert [commit.title for commit in hub.commits(repo)] == ["Ours", "initial commit"]
        assert hub.files(repo)["model.safetensors"] == content


@pytest.mark.parametrize("as_pull_request", [False, True])
def test_a_commit_is_not_tried_again_whether_it_happened_or_not(
    hub: Hub, ask: Ask, folder: Path, as_pull_request: bool
) -> None:
    hub.seed(REPO, {})
    hub.faults.add("commit", DropInBody(), at=1)
    hub.faults.add("commit", DropBeforeAnswer(), at=2)
    call = push(folder, create_pr=as_pull_request)
    before, lost = ask(hub, dict(call), dict(call))
    assert before["error"][0]["type"] in ("RemoteProtocolError", "ReadError", "WriteError")
    assert lost["error"][0]["type"] == "RemoteProtocolError"
    assert len(hub.requests("commit")) == 2
    assert titles(hub, "refs/pr/1" if as_pull_request else "main") == ["Ours", "initial commit"]
    third = ask(hub, dict(call))[0]
    assert "error" not in third
    if as_pull_request:  # the client knows of no pull request, so it opens one more: who pushes has to look first
        assert len(hub.pull_requests(REPO)) == 2
    else:
        assert titles(hub) == ["Ours", "initial commit"] and len(hub.requests("commit")) == 2


@pytest.mark.parametrize("as_pull_request", [False, True])
def test_with_xet_the_clients_own_push_of_a_folder_repeats_its_commit(
    hub: Hub, ask: Ask, folder: Path, as_pull_request: bool
) -> None:
    """With hf_xet `upload_folder` goes another way, which tries a commit again, and opens its pull request before it."""
    for large in ("model.safetensors", "parity.png"):
        (folder / large).unlink()
    hub.seed(REPO, {})
    hub.faults.add("commit", DropBeforeAnswer())
    answer = ask(hub, push(folder, create_pr=as_pull_request), HF_HUB_DISABLE_XET="0")[0]
    assert "error" not in answer
    assert titles(hub, "refs/pr/1" if as_pull_request else "main") == ["Ours", "Ours", "initial commit"]
    assert [pull.status for pull in hub.pull_requests(REPO)] == (["draft"] if as_pull_request else [])


def test_somebody_else_commits_at_that_moment(hub: Hub, ask: Ask, folder: Path) -> None:
    head = hub.seed(REPO, {})
    hub.faults.add("commit", Overtaken())
    hub.faults.add("commit", Overtaken({"theirs.txt": b"more\n"}), at=2)
    refused, made = ask(hub, push(folder, parent_commit=head.oid), push(folder))
    assert refused["error"][0]["status"] == 412
    assert "error" not in made
    assert titles(hub) == ["Ours", "Somebody else's commit", "Somebody else's commit", "initial commit"]
    assert hub.files(REPO)["theirs.txt"] == b"more\n"
    assert [commit.author for commit in hub.commits(REPO)][:2] == ["tester", "somebody-else"]


@pytest.mark.parametrize("phase", ["whoami", "create", "info"])
def test_what_the_client_asks_once(hub: Hub, ask: Ask, phase: str) -> None:
    hub.seed(REPO, {})
    call = {"whoami": {"do": "whoami"}, "create": {"do": "create_repo", "repo_id": REPO, "exist_ok": True},
            "info": {"do": "model_info", "repo_id": REPO}}[phase]  # fmt: skip
    for at, action in enumerate((Status(503), Status(429), DropBeforeAnswer(), Garbage()), start=1):
        hub.faults.add(phase, action, at=at)
    told = [answer["error"][0] for answer in ask(hub, *(dict(call) for _ in range(4)))]
    assert [error["status"] for error in told][:3] == [503, 429, None]
    assert told[2]["type"] == "RemoteProtocolError" and told[3]["type"] == "JSONDecodeError"
    assert len(hub.requests(phase)) == 4


def test_a_download_goes_on_where_it_was_cut(hub: Hub, ask: Ask) -> None:
    """The client keeps what it has in steps of 10 MiB; of a smaller file it asks for the whole again."""
    content = bytes(range(256)) * (24 << 12)
    hub.seed(REPO, {"model.safetensors": content})
    hub.faults.add("content", DropInAnswer(22 << 20), method="GET")
    path = ask(hub, WEIGHTS)[0]["result"]
    assert Path(path).read_bytes() == content
    assert [logged.status for logged in hub.requests("content")] == [None, 206]


def test_a_download_with_a_wrong_byte_is_not_noticed_by_the_client(hub: Hub, ask: Ask, folder: Path) -> None:
    """It compares sizes only; whoever needs the content to be right has to look at the sum in the cache's own name."""
    hub.seed(REPO, folder)
    hub.faults.add("content", WrongContent(), method="GET")
    path = Path(ask(hub, WEIGHTS)[0]["result"])
    ours = (folder / "model.safetensors").read_bytes()
    assert [i for i, (a, b) in enumerate(zip(path.read_bytes(), ours, strict=True)) if a != b] == [len(ours) // 2]


def test_a_slow_server(hub: Hub, ask: Ask, folder: Path) -> None:
    """A question has the timeout that is given for it; a commit has none, and is waited for."""
    hub.seed(REPO, {})
    hub.faults.add("info", Delay(600))
    hub.faults.add("commit", Delay(2, after=True))
    asked, sent = ask(hub, {"do": "model_info", "repo_id": REPO, "timeout": 0.5}, push(folder))
    assert asked["error"][0]["type"] == "ReadTimeout" and asked["seconds"] < 600
    assert "error" not in sent and sent["seconds"] > 2


def test_commits_at_the_same_time_are_all_kept(hub: Hub) -> None:
    hub.seed(REPO, {})

    def commit(number: int) -> int:
        value = {"path": f"{number}.txt", "content": str(number)}
        lines = [{"key": "header", "value": {"summary": str(number)}}, {"key": "file", "value": value}]
        request = Request(
            f"{hub.endpoint}/api/models/{REPO}/commit/main",
            "\n".join(map(json.dumps, lines)).encode(),
            {"Authorization": f"Bearer {WRITER.secret}", "Content-Type": "application/x-ndjson"},
        )
        with urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(commit, range(24))) == {200}
    assert set(hub.files(REPO)) == {".gitattributes", *(f"{number}.txt" for number in range(24))}
    assert len(hub.commits(REPO)) == 25 and len(hub.requests("commit")) == 24


def test_a_stopped_server_serves_nobody_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with serve_hub(tmp_path / "state") as hub:
        hub.seed(REPO, {})
        kept, waiting = HTTPConnection("127.0.0.1", hub.port, timeout=PATIENCE), HTTPConnection("127.0.0.1", hub.port)
        kept.request("GET", f"/api/models/{REPO}")
        assert kept.getresponse().read()
        hub.faults.add("info", Delay(600))
        waiting.request("GET", f"/api/models/{REPO}")
        wait_until(lambda: not hub.faults.pending(), "the request")
    with pytest.raises(ConnectionError):
        kept.request("GET", f"/api/models/{REPO}")
        kept.getresponse()
    wait_until(lambda: threading.active_count() == before, "the end of the server's threads")
    kept.close()
    waiting.close()


def test_a_server_that_breaks_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the loopback Hub broke"), serve_hub(tmp_path / "state") as hub:
        hub.seed(REPO, {})
        (tmp_path / "state" / "repos" / REPO / "repo.json").write_text("{")
        with pytest.raises(HTTPError, match="500"):
            urlopen(f"{hub.endpoint}/api/models/{REPO}", timeout=PATIENCE)


def test_a_rule_counts_the_requests_it_is_for(hub: Hub, ask: Ask) -> None:
    hub.seed(REPO, {})
    hub.seed("lab/other", {})
    hub.faults.add("info", Status(500), at=2, times=2, path="lab/model")
    never = hub.faults.add("whoami", Status(500))
    calls = [{"do": "model_info", "repo_id": repo} for repo in (REPO, "lab/other", REPO, REPO, REPO)]
    failed = ["error" in answer for answer in ask(hub, *calls)]
    assert failed == [False, False, True, True, False]
    assert hub.faults.pending() == [never]
    with pytest.raises(ValueError, match="no phase 'comit'"):
        hub.faults.add("comit", Status(500))
