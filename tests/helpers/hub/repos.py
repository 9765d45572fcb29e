"""Routes for repos as a whole: who am I, create, info, refs, settings, and what the server does not have."""

from __future__ import annotations

import re
from typing import Any

import yaml

from .exchange import Answer, Exchange, Refused
from .hub import Hub
from .storage import MAIN, Commit, Entry, Repo, lfs_pointer

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]{0,94}[A-Za-z0-9]|[A-Za-z0-9]")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?|multilingual|code")
_FRONT_MATTER = re.compile(r"---\r?\n(.*?)\r?\n?---(\r?\n|$)", re.DOTALL)


def whoami(hub: Hub, exchange: Exchange) -> Answer:
    token = hub.rights.somebody(exchange)
    return Answer.of(
        {
            "type": "user",
            "id": f"id-of-{token.user}",
            "name": token.user,
            "fullname": token.user,
            "email": f"{token.user}@example.com",
            "orgs": [{"type": "org", "name": name, "roleInOrg": "write"} for name in token.orgs],
            "auth": {"type": "access_token", "accessToken": {"displayName": "tests", "role": token.role}},
        }
    )


def create(hub: Hub, exchange: Exchange) -> Answer:
    asked = exchange.json()
    namespace = hub.rights.namespace(exchange, asked.get("organization"))
    name = asked.get("name", "")
    if not _NAME.fullmatch(name) or asked.get("type", "model") != "model":
        raise Refused(400, f"No model can be called '{name}'")
    repo_id = f"{namespace}/{name}"
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    url = f"{hub.endpoint}/{repo_id}"
    with hub.storage.lock:
        if hub.storage.repo(repo_id) is not None:
            raise Refused(409, "You already created this model repo", url=url)
        hub.storage.create(repo_id, hub.rights.somebody(exchange).user, private=private)
    return Answer.of({"url": url, "name": repo_id, "id": f"id-of-{repo_id}"})


def delete(hub: Hub, exchange: Exchange) -> Answer:
    asked = exchange.json()
    namespace = hub.rights.namespace(exchange, asked.get("organization"))
    exchange.groups["repo"] = f"{namespace}/{asked.get('name')}"
    with hub.storage.lock:
        hub.storage.delete(hub.rights.writable(exchange).id)
    return Answer.of({})


def settings(hub: Hub, exchange: Exchange) -> Answer:
    asked = exchange.json()
    with hub.storage.lock:
        repo = hub.rights.writable(exchange)
        if "visibility" in asked:
            repo.private = asked["visibility"] == "private"
        repo.gated = bool(asked.get("gated", repo.gated))
        hub.storage.save(repo)
    return Answer.of(asked)


def info(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    commit = hub.storage.resolve(repo, exchange.groups.get("revision", "main"))
    return Answer.of(_described(repo, commit, with_blobs=exchange.asks("blobs")))


def _described(repo: Repo, commit: Commit, *, with_blobs: bool) -> dict[str, Any]:
    return {
        "_id": f"id-of-{repo.id}",
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.namespace,
        "sha": commit.oid,
        "createdAt": repo.created,
        "lastModified": commit.date,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [
            {"rfilename": name, **(_blob(entry) if with_blobs else {})} for name, entry in commit.files.items()
        ],
    }


def _blob(entry: Entry) -> dict[str, Any]:
    lfs = {"sha256": entry.sha256, "size": entry.size, "pointerSize": len(lfs_pointer(entry.sha256, entry.size))}
    return {"blobId": entry.git_oid, "size": entry.size, **({"lfs": lfs} if entry.lfs else {})}


def refs(hub: Hub, exchange: Exchange) -> Answer:
    repo = hub.rights.readable(exchange)
    listed = [
        {"name": ref.removeprefix("refs/heads/"), "ref": ref, "targetCommit": oid} for ref, oid in repo.refs.items()
    ]
    pulls = [{**ref, "name": ref["ref"]} for ref in listed if ref["ref"].startswith("refs/pr/")]
    branches = [ref for ref in listed if ref["ref"].startswith("refs/heads/")]
    with_pulls = {"pullRequests": pulls} if exchange.asks("include_prs") else {}
    return Answer.of({"branches": branches, "tags": [], "converts": [], **with_pulls})


def create_branch(hub: Hub, exchange: Exchange) -> Answer:
    ref = f"refs/heads/{exchange.groups['branch']}"
    with hub.storage.lock:
        repo = hub.rights.writable(exchange)
        if ref in repo.refs:
            raise Refused(409, f"Reference already exists: {ref}")
        start = exchange.json().get("startingPoint") or "main"
        repo.refs[ref] = hub.storage.resolve(repo, start).oid
        hub.storage.save(repo)
    return Answer.of({})


def delete_branch(hub: Hub, exchange: Exchange) -> Answer:
    ref = f"refs/heads/{exchange.groups['branch']}"
    with hub.storage.lock:
        repo = hub.rights.writable(exchange)
        if ref == MAIN or ref not in repo.refs:
            raise Refused(404, f"No such branch: {ref}", "RevisionNotFound")
        del repo.refs[ref]
        hub.storage.save(repo)
    return Answer.of({})


def auth_check(hub: Hub, exchange: Exchange) -> Answer:
    if exchange.path.endswith("/write"):
        hub.rights.writable(exchange)
    else:
        hub.rights.files_of(exchange)
    return Answer.of({})


def xet_token(hub: Hub, exchange: Exchange) -> Answer:
    """There is no Xet storage here. A client that has hf_xet then gives up: it must be told HF_HUB_DISABLE_XET=1."""
    hub.rights.readable(exchange)
    raise Refused(404, "Xet storage is not supported by this server")


def validate_yaml(hub: Hub, exchange: Exchange) -> Answer:
    """Judges the front matter of a card: the rules that a model's card can break."""
    content = exchange.json().get("content", "")
    found = _FRONT_MATTER.match(content)
    if found is None:
        return Answer.of({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
    try:
        values = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        errors = [f"Invalid YAML: {' '.join(str(error).split())}"]
    else:
        errors = _errors(values)
    body = {"errors": [{"message": error} for error in errors], "warnings": []}
    return Answer.of({**body, "error": "Invalid metadata"} if errors else body, code=400 if errors else 200)


def _errors(values: Any) -> list[str]:
    if not isinstance(values, dict):
        return ["metadata must be of type object"]
    errors = [
        f'"{name}" must be a string' for name in ("pipeline_tag", "library_name") if not _texts(values.get(name), 1)
    ]
    errors += [
        f'"{name}" must be a string or an array of strings'
        for name in ("license", "language", "tags", "base_model", "datasets")
        if not _texts(values.get(name))
    ]
    languages = values.get("language")
    errors += [
        f'"language" must be ISO 639 codes: "{language}" is none'
        for language in ([languages] if isinstance(languages, str) else languages or [])
        if isinstance(language, str) and not _LANGUAGE.fullmatch(language)
    ]
    return errors


def _texts(value: Any, most: int | None = None) -> bool:
    if value is None or isinstance(value, str):
        return True
    return most is None and isinstance(value, list) and all(isinstance(item, str) for item in value)
