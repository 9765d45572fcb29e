"""Routes for pull requests and discussions."""

from __future__ import annotations

from typing import Any

from .exchange import Answer, Exchange, Refused
from .hub import Hub
from .storage import MAIN, Commit, Discussion, Repo, now

PAGE = 10


def listing(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    query = {name: values[0] for name, values in exchange.query.items()}
    kind, status = query.get("type", "all"), query.get("status", "all")
    found = [
        discussion
        for discussion in reversed(repo.discussions)
        if kind in ("all", "pull_request" if discussion.base else "discussion")
        and status in ("all", "open" if discussion.status in ("open", "draft") else "closed")
        and query.get("author") in (None, discussion.author)
    ]
    start = PAGE * int(query.get("p", "0"))
    rows = [_row(repo, discussion) for discussion in found[start : start + PAGE]]
    return Answer.of({"discussions": rows, "count": len(found), "start": start})


def details(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    discussion = _asked(repo, exchange)
    answer = {**_row(repo, discussion), "events": _events(hub, repo, discussion)}
    if discussion.base:
        changes = {"base": discussion.base}
        if discussion.merge_commit:
            changes["mergeCommitId"] = discussion.merge_commit
        answer.update(changes=changes, filesWithConflicts=[], diff="")
    return Answer.of(answer)


def open_one(hub: Hub, exchange: Exchange) -> Answer:
    """A discussion, or a pull request without a commit, which is a draft."""
    asked = exchange.json()
    with hub.storage.lock:
        repo = hub.rights.writable(exchange, pull_request=True)
        author = hub.rights.somebody(exchange).user
        base = MAIN if asked.get("pullRequest") else None
        num = len(repo.discussions) + 1
        made = Discussion(num, asked["title"], asked.get("description", ""), author, now(), base)
        if base:
            made.status = "draft"
            repo.refs[made.ref] = repo.refs[base]
        repo.discussions.append(made)
        hub.storage.save(repo)
    return Answer.of({"num": num, "url": f"{hub.endpoint}/{repo.id}/discussions/{num}", "pullRequest": bool(base)})


def status(hub: Hub, exchange: Exchange) -> Answer:
    asked = exchange.json()
    with hub.storage.lock:
        repo = hub.rights.writable(exchange)
        discussion = _asked(repo, exchange)
        discussion.status = asked["status"]
        hub.storage.save(repo)
        event = _event("status-change", "status", discussion, {"status": discussion.status})
    return Answer.of({"newStatus": event})


def merge(hub: Hub, exchange: Exchange) -> Answer:
    with hub.storage.lock:
        repo = hub.rights.writable(exchange)
        discussion = _asked(repo, exchange)
        if not discussion.base or discussion.status not in ("open", "draft"):
            raise Refused(400, "This cannot be merged")
        head, ours = hub.storage.resolve(repo, discussion.ref), hub.storage.resolve(repo, discussion.base)
        author = hub.rights.somebody(exchange).user
        title = f"{discussion.title} (#{discussion.num})"
        made = hub.storage.write_commit(repo, ours.oid, {**ours.files, **head.files}, title, "", author)
        repo.refs[discussion.base] = discussion.merge_commit = made.oid
        discussion.status = "merged"
        hub.storage.save(repo)
    return Answer.of({})


def _asked(repo: Repo, exchange: Exchange) -> Discussion:
    number = int(exchange.groups["number"])
    if not 1 <= number <= len(repo.discussions):
        raise Refused(404, "Discussion not found")
    return repo.discussions[number - 1]


def _row(repo: Repo, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "author": {"name": discussion.author},
        "createdAt": discussion.created,
        "status": discussion.status,
        "isPullRequest": discussion.base is not None,
        "repo": {"name": repo.id, "type": "model"},
    }


def _events(hub: Hub, repo: Repo, discussion: Discussion) -> list[dict[str, Any]]:
    """The opening words, then the commits of a pull request, the oldest first."""
    words = {"edited": False, "hidden": False, "latest": {"raw": discussion.description}}
    events = [_event("comment", "words", discussion, words)]
    if discussion.base and discussion.ref in repo.refs:
        ours = {commit.oid for commit in hub.storage.history(repo, discussion.base)}
        theirs: list[Commit] = [
            commit for commit in hub.storage.history(repo, discussion.ref) if commit.oid not in ours
        ]
        events += [
            _event("commit", commit.oid, discussion, {"subject": commit.title, "oid": commit.oid})
            for commit in reversed(theirs)
        ]
    return events


def _event(kind: str, name: str, discussion: Discussion, data: dict[str, Any]) -> dict[str, Any]:
    author = {"name": discussion.author}
    return {"id": name, "type": kind, "createdAt": discussion.created, "author": author, "data": data}
