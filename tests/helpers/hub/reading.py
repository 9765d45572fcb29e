"""Routes for what is in a repo: its tree, its history, and the bytes of its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from .exchange import Answer, Exchange, Refused
from .hub import Hub
from .storage import Commit, git_sum, lfs_pointer

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def tree(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    commit = hub.storage.resolve(repo, exchange.groups["revision"])
    prefix = f"{folder}/" if (folder := exchange.groups.get("path", "").strip("/")) else ""
    listed = _listed(commit, prefix, recursive=exchange.asks("recursive"))
    if prefix and not listed:
        raise Refused(404, f'"{folder}" does not exist on "{exchange.groups["revision"]}"', "EntryNotFound")
    return _page(hub, exchange, [_row(path, commit) for path in listed])


def paths_info(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    commit = hub.storage.resolve(repo, exchange.groups["revision"])
    is_form = "form" in exchange.headers.get("content-type", "")
    asked = exchange.form().get("paths", []) if is_form else exchange.json().get("paths", [])
    there = _listed(commit, "", recursive=True)
    return Answer.of([_row(path, commit) for path in asked if path in there])


def commits(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    history = hub.storage.history(repo, exchange.groups["revision"])
    return _page(
        hub,
        exchange,
        [
            {
                "id": commit.oid,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
            for commit in history
        ],
    )


def _page(hub: Hub, exchange: Exchange, rows: list[Any]) -> Answer:
    """The rows of one page; where there are more, with the address of the next, as on GitHub."""
    start = int(exchange.query.get("cursor", ["0"])[0])
    end = start + hub.page
    answer = Answer.of(rows[start:end])
    if end < len(rows):
        rest = {name: values[0] for name, values in exchange.query.items()}
        address = f"{hub.endpoint}{exchange.path}?{urlencode({**rest, 'cursor': end})}"
        answer.headers["Link"] = f'<{address}>; rel="next"'
    return answer


def _listed(commit: Commit, prefix: str, *, recursive: bool) -> list[str]:
    """Files and folders below `prefix`, the folders first, as the Hub lists them."""
    files, folders = set(), set()
    for name in commit.files:
        if not name.startswith(prefix):
            continue
        parts = name[len(prefix) :].split("/")
        folders.update(prefix + "/".join(parts[:depth]) for depth in range(1, len(parts)))
        files.add(name)
    if not recursive:
        files = {name for name in files if "/" not in name[len(prefix) :]}
        folders = {name for name in folders if "/" not in name[len(prefix) :]}
    return [*sorted(folders), *sorted(files)]


def _row(path: str, commit: Commit) -> dict[str, Any]:
    entry = commit.files.get(path)
    if entry is None:
        return {"type": "directory", "oid": git_sum(path.encode()), "size": 0, "path": path}
    row = {"type": "file", "oid": entry.git_oid, "size": entry.size, "path": path}
    if entry.lfs:
        pointer = len(lfs_pointer(entry.sha256, entry.size))
        row["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": pointer}
    return row


def resolve(hub: Hub, exchange: Exchange) -> Answer:
    """Where a file's bytes are, as the Hub says it: a small file beside the API, a large one on another host."""
    repo = hub.rights.files_of(exchange)
    commit = hub.storage.resolve(repo, exchange.groups["revision"])
    path = exchange.groups["path"]
    about = {"X-Repo-Commit": commit.oid}
    if path not in commit.files:
        answer = Refused(404, "Entry not found", "EntryNotFound").answer()
        answer.headers.update(about)
        return answer
    entry = commit.files[path]
    if not entry.lfs:
        where = f"/api/resolve-cache/models/{repo.id}/{commit.oid}/{quote(path)}"
        return Answer(307, {**about, "Location": where, "ETag": f'"{entry.etag}"'})
    where = hub.signed(f"/storage/{entry.sha256}")
    linked = {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    return Answer(302, {**about, **linked, "Location": where, "ETag": f'"{entry.git_oid}"'})


def small_content(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.files_of(exchange)
    commit = hub.storage.resolve(repo, exchange.groups["revision"])
    entry = commit.files.get(exchange.groups["path"])
    if entry is None:
        raise Refused(404, "Entry not found", "EntryNotFound")
    return _content(hub, exchange, entry.sha256, {"X-Repo-Commit": commit.oid, "ETag": f'"{entry.etag}"'})


def large_content(hub: Hub, exchange: Exchange) -> Answer:
    """On the other host, which knows signed addresses and no tokens."""
    hub.check_signature(exchange)
    return _content(hub, exchange, exchange.groups["oid"], {"ETag": f'"{exchange.groups["oid"]}"'})


def _content(hub: Hub, exchange: Exchange, sha256: str, headers: Mapping[str, str]) -> Answer:
    """A content, or the stretch of it that is asked for."""
    path = hub.storage.blob(sha256)
    size = path.stat().st_size
    kind = {**headers, "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    found = _RANGE.fullmatch(exchange.headers.get("range", ""))
    if found is None:
        return Answer(200, kind, path)
    start, end = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if start > end:
        return Answer(416, {"Content-Range": f"bytes */{size}"})
    return Answer(206, {**kind, "Content-Range": f"bytes {start}-{end}/{size}"}, path, start, end - start + 1)
