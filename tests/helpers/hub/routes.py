"""The addresses of the Hub that huggingface_hub asks for, each with its phase and the function that answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import discussions, reading, repos, writing
from .exchange import Answer, Exchange, unquoted
from .hub import Hub

_PARTS = {
    "REPO": r"(?P<repo>[\w.\-]+/[\w.\-]+)",
    "REVISION": r"(?P<revision>refs/[a-z]+/[^/]+|[^/]+)",
    "PATH": r"(?P<path>.+)",
    "BRANCH": r"(?P<branch>[^/]+)",
    "OID": r"(?P<oid>[0-9a-f]{64})",
    "NUMBER": r"(?P<number>\d+)",
}


@dataclass(frozen=True)
class Route:
    methods: tuple[str, ...]
    pattern: re.Pattern[str]
    phase: str
    answer: Callable[[Hub, Exchange], Answer]


def _route(method: str, path: str, phase: str, answer: Callable[[Hub, Exchange], Answer]) -> Route:
    pattern = re.sub("|".join(_PARTS), lambda found: _PARTS[found[0]], path.replace(".git", r"\.git"))
    return Route(tuple(method.split()), re.compile(pattern), phase, answer)


_M = "/api/models/REPO"
ROUTES = (
    _route("GET", "/api/whoami-v2", "whoami", repos.whoami),
    _route("POST", "/api/repos/create", "create", repos.create),
    _route("DELETE", "/api/repos/delete", "delete", repos.delete),
    _route("POST", "/api/validate-yaml", "validate-yaml", repos.validate_yaml),
    _route("GET", _M, "info", repos.info),
    _route("GET", f"{_M}/revision/REVISION", "info", repos.info),
    _route("GET", f"{_M}/refs", "refs", repos.refs),
    _route("POST", f"{_M}/branch/BRANCH", "branch", repos.create_branch),
    _route("DELETE", f"{_M}/branch/BRANCH", "branch", repos.delete_branch),
    _route("PUT", f"{_M}/settings", "settings", repos.settings),
    _route("GET", f"{_M}/auth-check(/write)?", "auth-check", repos.auth_check),
    _route("GET", f"{_M}/xet-(read|write)-token/REVISION", "xet-token", repos.xet_token),
    _route("POST", f"{_M}/preupload/REVISION", "preupload", writing.preupload),
    _route("POST", "/REPO.git/info/lfs/objects/batch", "lfs-batch", writing.lfs_batch),
    _route("PUT", "/storage/OID(/NUMBER)?", "lfs-upload", writing.lfs_upload),
    _route("POST", "/api/complete_multipart/OID", "lfs-complete", writing.lfs_complete),
    _route("POST", "/REPO.git/info/lfs/objects/verify", "lfs-verify", writing.lfs_verify),
    _route("POST", f"{_M}/commit/REVISION", "commit", writing.commit),
    _route("GET", f"{_M}/commits/REVISION", "commits", reading.commits),
    _route("GET", f"{_M}/tree/REVISION(/PATH)?", "tree", reading.tree),
    _route("POST", f"{_M}/paths-info/REVISION", "paths-info", reading.paths_info),
    _route("GET", f"{_M}/discussions", "discussions", discussions.listing),
    _route("POST", f"{_M}/discussions", "discussions", discussions.open_one),
    _route("GET", f"{_M}/discussions/NUMBER", "discussions", discussions.details),
    _route("POST", f"{_M}/discussions/NUMBER/status", "discussions", discussions.status),
    _route("POST", f"{_M}/discussions/NUMBER/merge", "discussions", discussions.merge),
    _route("GET HEAD", "/api/resolve-cache/models/REPO/REVISION/PATH", "content", reading.small_content),
    _route("GET HEAD", "/storage/OID", "content", reading.large_content),
    _route("GET HEAD", "/REPO/resolve/REVISION/PATH", "resolve", reading.resolve),
)


def find(exchange: Exchange) -> Callable[[Hub, Exchange], Answer] | None:
    """The function for a request, whose phase and groups it sets; None: the Hub has no such address."""
    for route in ROUTES:
        found = route.pattern.fullmatch(exchange.path)
        if found is not None and exchange.method in route.methods:
            exchange.phase, exchange.groups = route.phase, unquoted(found.groupdict())
            return route.answer
    return None
