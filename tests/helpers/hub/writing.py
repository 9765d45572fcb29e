"""Routes for a change: which files go where, LFS's batch, upload and check, and the commit."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .exchange import Answer, Exchange, Refused
from .hub import Hub
from .storage import Commit, Discussion, Entry, Repo, now

LARGE = 10 << 20  # bytes from which the Hub keeps a text in LFS, too


def preupload(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.writable(exchange, pull_request=exchange.asks("create_pr"))
    commit = hub.storage.resolve(repo, exchange.groups["revision"])
    asked = exchange.json()
    patterns = _patterns(hub, commit, ".gitattributes")
    ignored = asked.get("gitIgnore", "").splitlines() or _patterns(hub, commit, ".gitignore")
    answers = []
    for file in asked["files"]:
        path, sample = file["path"], base64.b64decode(file["sample"])
        is_large = file["size"] >= LARGE or _matches(path, patterns) or _is_binary(sample)
        old = commit.files.get(path)
        answers.append(
            {
                "path": path,
                "uploadMode": "lfs" if is_large else "regular",
                "shouldIgnore": _matches(path, ignored),
                **({"oid": old.etag} if old else {}),
            }
        )
    return Answer.of({"files": answers, "commitOid": commit.oid})


def _patterns(hub: Hub, commit: Commit, name: str) -> list[str]:
    """The patterns of the repo's own file of that name; of .gitattributes those for LFS."""
    entry = commit.files.get(name)
    lines = hub.storage.blob(entry.sha256).read_text().splitlines() if entry else []
    if name == ".gitattributes":
        lines = [line.split()[0] for line in lines if "filter=lfs" in line.split()]
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatch(path, pattern) or fnmatch(Path(path).name, pattern) for pattern in patterns)


def _is_binary(sample: bytes) -> bool:
    """Whether the start of a file is no text; its last character may be cut."""
    if b"\0" in sample:
        return True
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.start < len(sample) - 3
    return False


def lfs_batch(hub: Hub, exchange: Exchange) -> Answer:
    """A client that opens a pull request names no `ref`, and then needs no rights on the repo."""
    asked = exchange.json()
    if asked.get("operation") != "upload" or "basic" not in asked.get("transfers", ["basic"]):
        raise Refused(422, "Only uploads by the transfers basic and multipart are supported")
    repo = hub.rights.writable(exchange, pull_request="ref" not in asked, message="Authorization error.")
    may_split = "multipart" in asked.get("transfers", [])
    objects, has_parts = [], False
    for item in asked["objects"]:
        sha256, size = item["oid"], item["size"]
        answer: dict[str, Any] = {"oid": sha256, "size": size, "authenticated": True}
        if not hub.storage.blob(sha256).exists():
            is_split = may_split and hub.part_size is not None and size > hub.part_size
            has_parts |= is_split
            verify = {"href": f"{hub.endpoint}/{repo.id}.git/info/lfs/objects/verify", "header": {}}
            answer["actions"] = {"upload": _upload(hub, sha256, size, is_split=is_split), "verify": verify}
        objects.append(answer)
    return Answer.of({"transfer": "multipart" if has_parts else "basic", "objects": objects})


def _upload(hub: Hub, sha256: str, size: int, *, is_split: bool) -> dict[str, Any]:
    if not is_split:
        return {"href": hub.signed(f"/storage/{sha256}"), "header": {}}
    assert hub.part_size is not None
    count = math.ceil(size / hub.part_size)
    parts = {f"{number:05d}": hub.signed(f"/storage/{sha256}/{number}") for number in range(1, count + 1)}
    done = hub.signed(f"/api/complete_multipart/{sha256}", host=hub.endpoint)
    return {"href": done, "header": {"chunk_size": str(hub.part_size), **parts}}


def lfs_upload(hub: Hub, exchange: Exchange) -> Answer:
    """A whole object, which must have the sum that is its name, or a part of one."""
    hub.check_signature(exchange)
    sha256, number = exchange.groups["oid"], exchange.groups.get("number")
    part, digest = hub.storage.temporary(), hashlib.sha256()
    try:
        with part.open("wb") as file:
            while data := exchange.body.read():
                digest.update(data)
                file.write(data)
        if number is not None:
            target = hub.storage.root / "parts" / sha256 / number
            target.parent.mkdir(exist_ok=True)
        elif digest.hexdigest() == sha256:
            target = hub.storage.blob(sha256)
        else:
            raise Refused(400, "The content does not have the announced SHA-256")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return Answer(200, {"ETag": f'"{digest.hexdigest()}"'})


def lfs_complete(hub: Hub, exchange: Exchange) -> Answer:
    hub.check_signature(exchange)
    sha256 = exchange.groups["oid"]
    folder, whole, digest = hub.storage.root / "parts" / sha256, hub.storage.temporary(), hashlib.sha256()
    with whole.open("wb") as file:
        for part in exchange.json()["parts"]:
            content = (folder / str(part["partNumber"])).read_bytes()
            if part["etag"].strip('"') != hashlib.sha256(content).hexdigest():
                raise Refused(400, f"Part {part['partNumber']} has another ETag")
            digest.update(content)
            file.write(content)
    if digest.hexdigest() != sha256:
        raise Refused(400, "The content does not have the announced SHA-256")
    whole.replace(hub.storage.blob(sha256))
    return Answer.of({"oid": sha256})


def lfs_verify(hub: Hub, exchange: Exchange) -> Answer:
    hub.rights.writable(exchange, pull_request=True)
    asked = exchange.json()
    blob = hub.storage.blob(asked["oid"])
    if not blob.exists() or blob.stat().st_size != asked["size"]:
        raise Refused(404, "Object does not exist")
    return Answer.of({})


def commit(hub: Hub, exchange: Exchange) -> Answer:
    """The lines of the request become a commit on the revision, or on a new pull request that starts from it."""
    as_pull_request = exchange.asks("create_pr")
    lines = list(_lines(exchange))
    if not lines or lines[0][0] != "header" or not lines[0][1].get("summary"):
        raise Refused(400, "The first line must be a header with a summary")
    header = lines[0][1]
    with hub.storage.lock:
        repo = hub.rights.writable(exchange, pull_request=as_pull_request)
        author = hub.rights.somebody(exchange).user
        head = hub.storage.resolve(repo, exchange.groups["revision"])
        expected = header.get("parentCommit")
        if as_pull_request:
            head = hub.storage.resolve(repo, expected) if expected else head
            ref = _open(repo, header, author, exchange.groups["revision"])
        else:
            ref = hub.ref(repo, exchange.groups["revision"])
            if expected and not head.oid.startswith(expected):
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = _changed(hub, head, lines[1:])
        made = hub.storage.write_commit(repo, head.oid, files, header["summary"], header.get("description", ""), author)
        repo.refs[ref] = made.oid
        hub.storage.save(repo)
    answer: dict[str, Any] = {"success": True, "commitOid": made.oid, "hookOutput": ""}
    answer["commitUrl"] = f"{hub.endpoint}/{repo.id}/commit/{made.oid}"
    if as_pull_request:
        answer["pullRequestUrl"] = f"{hub.endpoint}/{repo.id}/discussions/{repo.discussions[-1].num}"
    return Answer.of(answer)


def _lines(exchange: Exchange) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = [json.loads(line) for line in exchange.content().splitlines()]
        yield from [(line["key"], line["value"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(400, "Every line must be an object with key and value") from error


def _open(repo: Repo, header: dict[str, Any], author: str, base: str) -> str:
    """A new pull request; its ref."""
    num = len(repo.discussions) + 1
    pull = Discussion(num, header["summary"], header.get("description", ""), author, now(), f"refs/heads/{base}")
    repo.discussions.append(pull)
    return pull.ref


def _changed(hub: Hub, head: Commit, lines: list[tuple[str, dict[str, Any]]]) -> dict[str, Entry]:
    """The tree of a commit with the changes of the lines."""
    files = dict(head.files)
    for key, value in lines:
        path = value["path"]
        if key == "file":
            files[path] = hub.storage.keep(_decoded(value))
        elif key == "lfsFile":
            if not hub.storage.blob(value["oid"]).exists():
                raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
            files[path] = hub.storage.entry(value["oid"], lfs=True)
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        elif key == "deletedFolder":
            files = {name: entry for name, entry in files.items() if not name.startswith(path.rstrip("/") + "/")}
        else:
            raise Refused(400, f"Unknown operation: {key}")
    return _with_attributes(hub, head, files)


def _decoded(value: dict[str, Any]) -> bytes:
    if value.get("encoding", "utf-8") != "base64":
        return str(value["content"]).encode()
    try:
        return base64.b64decode(value["content"], validate=True)
    except binascii.Error as error:
        raise Refused(400, f"Invalid base64: {value['path']}") from error


def _with_attributes(hub: Hub, head: Commit, files: dict[str, Entry]) -> dict[str, Entry]:
    """The Hub adds a line to .gitattributes for every LFS file that no pattern in it covers."""
    if files.get(".gitattributes") != head.files.get(".gitattributes"):
        return files
    patterns = _patterns(hub, head, ".gitattributes")
    more = [name for name, entry in files.items() if entry.lfs and not _matches(name, patterns)]
    if not more:
        return files
    old = hub.storage.blob(files[".gitattributes"].sha256).read_bytes() if ".gitattributes" in files else b""
    lines = "".join(f"{name} filter=lfs diff=lfs merge=lfs -text\n" for name in more)
    return {**files, ".gitattributes": hub.storage.keep(old + lines.encode())}
