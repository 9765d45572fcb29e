"""The real client against the loopback Hub, when nothing goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.hub import READER, STRANGER, Hub, Token, serve_hub
from helpers.workers import Ask

pytestmark = pytest.mark.slow

REPO = "lab/model"


def adds(folder: Path) -> dict[str, Any]:
    return {"add": {path.relative_to(folder).as_posix(): str(path) for path in folder.rglob("*") if path.is_file()}}


def results(answers: list[dict[str, Any]]) -> list[Any]:
    assert all("error" not in answer for answer in answers), answers
    return [answer["result"] for answer in answers]


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_goes_up_in_one_commit_and_comes_down_the_same(hub: Hub, ask: Ask, folder: Path) -> None:
    made, sent, again, down = results(
        ask(
            hub,
            {"do": "create_repo", "repo_id": REPO, "private": True},
            {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder), "commit_message": "First"},
            {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder), "commit_message": "Second"},
            {"do": "snapshot_download", "repo_id": REPO},
        )
    )
    assert made == f"{hub.endpoint}/{REPO}"
    assert hub.is_private(REPO)
    assert [commit.title for commit in hub.commits(REPO)] == ["First", "initial commit"]
    assert sent["oid"] == again["oid"] == hub.commits(REPO)[0].oid
    assert sent["commit_url"] == f"{hub.endpoint}/{REPO}/commit/{sent['oid']}"
    held = hub.files(REPO)
    assert b"parity.png filter=lfs" in held.pop(".gitattributes")
    assert held == on_disk(folder)
    assert {name: content for name, content in on_disk(Path(down)).items() if name != ".gitattributes"} == held
    lfs = {name for name, entry in hub.commits(REPO)[0].files.items() if entry.lfs}
    assert lfs == {"model.safetensors", "parity.png"}
    assert len(hub.requests("lfs-upload")) == len(hub.requests("lfs-verify")) == 2
    assert len(hub.requests("commit")) == 1


def test_the_token_goes_to_the_hub_only(hub: Hub, ask: Ask, folder: Path) -> None:
    hub.seed(REPO, folder, private=True)
    results(ask(hub, {"do": "hf_hub_download", "repo_id": REPO, "filename": "model.safetensors"}))
    storage = [logged for logged in hub.log if logged.path.startswith("/storage/")]
    assert storage and not any(logged.authorized for logged in storage)
    assert all(logged.authorized for logged in hub.requests("resolve"))


def test_large_files_go_up_in_parts(tmp_path: Path, ask: Ask, folder: Path) -> None:
    with serve_hub(tmp_path / "state", part_size=100_000) as hub:
        hub.seed(REPO, {})
        results(ask(hub, {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder)}))
        assert hub.files(REPO)["model.safetensors"] == (folder / "model.safetensors").read_bytes()
        sizes = [logged.received for logged in hub.requests("lfs-upload")]
        assert sorted(sizes) == [264, 56_000, 100_000, 100_000]
        assert [logged.status for logged in hub.requests("lfs-complete")] == [200]


def test_what_is_in_storage_is_not_sent_again(hub: Hub, ask: Ask, folder: Path) -> None:
    hub.seed("lab/other", folder)
    hub.seed(REPO, {})
    results(ask(hub, {"do": "create_commit", "repo_id": REPO, "operations": adds(folder), "commit_message": "m"}))
    assert hub.requests("lfs-batch") and not hub.requests("lfs-upload")
    assert hub.files(REPO)["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_listings_tell_what_was_committed(tmp_path: Path, ask: Ask, folder: Path) -> None:
    with serve_hub(tmp_path / "state", page=2) as hub:
        head = hub.seed(REPO, folder)
        at = {"repo_id": REPO}
        me, info, files, tree, some, commits, refs, exists = results(
            ask(
                hub,
                {"do": "whoami"},
                {"do": "model_info", **at, "files_metadata": True},
                {"do": "list_repo_files", **at},
                {"do": "list_repo_tree", **at},
                {"do": "get_paths_info", **at, "paths": ["model.safetensors", "nothing", "more"]},
                {"do": "list_repo_commits", **at},
                {"do": "list_repo_refs", **at},
                {"do": "file_exists", **at, "filename": "nothing"},
            )
        )
    assert (me["name"], me["auth"]["accessToken"]["role"]) == ("tester", "write")
    assert info["sha"] == head.oid and info["id"] == REPO and info["private"] is False
    weights = {file["rfilename"]: file for file in info["siblings"]}["model.safetensors"]
    assert weights["size"] == 256_000 and weights["lfs"]["sha256"] == head.files["model.safetensors"].sha256
    assert set(files) == {".gitattributes", *on_disk(folder)}
    assert tree[0]["path"] == "more" and len(tree) == 6
    assert [row["path"] for row in some] == ["model.safetensors", "more"]
    assert some[0]["blob_id"] == head.files["model.safetensors"].git_oid
    assert [commit["commit_id"] for commit in commits] == [commit.oid for commit in hub.commits(REPO)]
    assert refs["branches"] == [{"name": "main", "ref": "refs/heads/main", "target_commit": head.oid}]
    assert exists is False


def test_a_pull_request_is_opened_added_to_and_merged(hub: Hub, ask: Ask, folder: Path) -> None:
    hub.seed(REPO, {"config.json": b"{}"})
    commit = {"do": "create_commit", "repo_id": REPO, "commit_message": "Ours", "commit_description": "Marked"}
    opened, listed, details = results(
        ask(
            hub,
            {**commit, "operations": adds(folder), "create_pr": True},
            {"do": "get_repo_discussions", "repo_id": REPO},
            {"do": "get_discussion_details", "repo_id": REPO, "discussion_num": 1},
            token=STRANGER,
        )
    )
    assert (opened["pr_num"], opened["pr_url"]) == (1, f"{hub.endpoint}/{REPO}/discussions/1")
    assert [(row["num"], row["status"], row["author"]) for row in listed] == [(1, "open", "stranger")]
    assert details["is_pull_request"] and details["target_branch"] == "refs/heads/main"
    assert [event.get("summary", event.get("content")) for event in details["events"]] == ["Marked", "Ours"]
    assert len(hub.commits(REPO)) == 2 and hub.files(REPO)["config.json"] == b"{}"
    results(
        ask(
            hub,
            {**commit, "operations": {"delete": ["parity.png"]}, "revision": "refs/pr/1"},
            {"do": "merge_pull_request", "repo_id": REPO, "discussion_num": 1},
        )
    )
    assert [made.title for made in hub.commits(REPO, "refs/pr/1")][:2] == ["Ours", "Ours"]
    assert hub.pull_requests(REPO)[0].status == "merged"
    assert hub.files(REPO)["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_branches_and_the_commit_that_is_no_longer_the_last(hub: Hub, ask: Ask, folder: Path) -> None:
    old = hub.seed(REPO, {"config.json": b"1"})
    hub.seed(REPO, {"config.json": b"2"})
    commit = {"do": "create_commit", "repo_id": REPO, "operations": adds(folder), "commit_message": "m"}
    branched, stale, fresh, missing = ask(
        hub,
        {"do": "create_branch", "repo_id": REPO, "branch": "a/b", "revision": old.oid},
        {**commit, "parent_commit": old.oid},
        {**commit, "parent_commit": old.oid, "revision": "a/b"},
        {**commit, "revision": "none"},
    )
    assert "error" not in branched and "error" not in fresh
    assert stale["error"][0]["status"] == 412 and "A commit has happened since" in stale["error"][0]["text"]
    assert missing["error"][0]["type"] == "RevisionNotFoundError"
    assert len(hub.commits(REPO)) == 3 and len(hub.commits(REPO, "a/b")) == 3


def test_a_server_started_again_goes_on(tmp_path: Path, ask: Ask, folder: Path) -> None:
    with serve_hub(tmp_path / "state") as hub:
        sent = results(
            ask(
                hub,
                {"do": "create_repo", "repo_id": REPO},
                {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder), "create_pr": True},
            )
        )[1]
        port = hub.port
    with serve_hub(tmp_path / "state", port=port) as hub:
        same = {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder), "revision": "refs/pr/1"}
        assert results(ask(hub, same))[0]["oid"] == sent["oid"]
        assert not hub.requests("commit") and len(hub.pull_requests(REPO)) == 1


def test_who_may_not_is_told_as_the_hub_tells_it(hub: Hub, ask: Ask, folder: Path) -> None:
    hub.seed(REPO, folder, private=True)
    hub.seed("lab/open", folder)
    hub.seed("lab/gated", folder, gated=True)
    commit = {"do": "create_commit", "operations": adds(folder), "commit_message": "m"}
    reads = [
        {"do": "model_info", "repo_id": REPO},
        {"do": "hf_hub_download", "repo_id": "lab/gated", "filename": "config.json"},
        {"do": "create_repo", "repo_id": "lab/new"},
        {**commit, "repo_id": "lab/open"},
    ]

    def told(token: Token | None) -> list[tuple[str, int | None]]:
        answers = ask(hub, *reads, token=token, home=token.user + token.role if token else "nobody")
        return [(answer["error"][0]["type"], answer["error"][0]["status"]) for answer in answers if "error" in answer]

    assert told(None) == [
        ("RepositoryNotFoundError", 401), ("GatedRepoError", 401), ("HfHubHTTPError", 401), ("HfHubHTTPError", 401),
    ]  # fmt: skip
    assert told(STRANGER) == [
        ("RepositoryNotFoundError", 404), ("GatedRepoError", 403), ("HfHubHTTPError", 403), ("HfHubHTTPError", 403),
    ]  # fmt: skip
    assert told(READER) == [("HfHubHTTPError", 403), ("HfHubHTTPError", 403)]
    assert told(Token("hf_unknown", "unknown"))[0] == ("HfHubHTTPError", 401)
    assert not hub.has("lab/new") and len(hub.commits("lab/open")) == 2


def test_a_repo_that_exists_and_one_that_does_not(hub: Hub, ask: Ask) -> None:
    hub.seed(REPO, {})
    there, again, absent, entry, revision = ask(
        hub,
        {"do": "create_repo", "repo_id": REPO, "exist_ok": True},
        {"do": "create_repo", "repo_id": REPO},
        {"do": "model_info", "repo_id": "lab/absent"},
        {"do": "hf_hub_download", "repo_id": REPO, "filename": "absent"},
        {"do": "hf_hub_download", "repo_id": REPO, "filename": "config.json", "revision": "absent"},
    )
    assert there["result"] == f"{hub.endpoint}/{REPO}"
    assert again["error"][0]["status"] == 409
    assert (absent["error"][0]["type"], absent["error"][0]["status"]) == ("RepositoryNotFoundError", 404)
    assert entry["error"][0]["type"] == "RemoteEntryNotFoundError"
    assert revision["error"][0]["type"] == "RevisionNotFoundError"


def test_a_card_that_the_hub_refuses(hub: Hub, ask: Ask, folder: Path) -> None:
    hub.seed(REPO, {})
    (folder / "README.md").write_text("---\nlanguage: English\ntags: 3\n---\n")
    refused = ask(hub, {"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder)})[0]["error"][0]
    assert refused["type"] == "ValueError" and "ISO 639" in refused["text"] and '"tags"' in refused["text"]
    assert len(hub.commits(REPO)) == 1


def test_xet_is_not_supported_and_the_client_gives_up(hub: Hub, ask: Ask, folder: Path) -> None:
    hub.seed(REPO, {})
    calls = [{"do": "upload_folder", "repo_id": REPO, "folder_path": str(folder)},
             {"do": "create_commit", "repo_id": REPO, "operations": adds(folder), "commit_message": "m"}]  # fmt: skip
    answers = ask(hub, *calls, HF_HUB_DISABLE_XET="0")
    assert all("error" in answer for answer in answers)
    assert len(hub.requests("xet-token")) >= 2 and not hub.requests("lfs-batch")
    assert len(hub.commits(REPO)) == 1
