"""What the loopback Hub keeps, in a folder, so that a server started again on it goes on where the last one ended.

blobs/<sha256>                       every file's content, once
parts/<sha256>/<number>              of uploads in several parts
repos/<org>/<name>/repo.json         refs, pull requests, rights
repos/<org>/<name>/commits/<id>.json a commit: its parent and its whole tree
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .exchange import Refused

GIT_ATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in ("*.7z", "*.bin", "*.gz", "*.h5", "*.model", "*.npy", "*.npz", "*.onnx", "*.pkl", "*.pt", "*.pth",
                    "*.safetensors", "*.tar", "*.zip")
)  # fmt: skip
MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Entry:
    """A file of a commit; `git_oid` is git's own sum of the content, or of the LFS pointer in its place."""

    sha256: str
    size: int
    git_oid: str
    lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: dict[str, Entry]


@dataclass
class Discussion:
    """A pull request, or a discussion without a ref; `base` is the ref that a pull request is meant for."""

    num: int
    title: str
    description: str
    author: str
    created: str
    base: str | None
    status: str = "open"
    merge_commit: str | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"


@dataclass
class Repo:
    """`gated`: whose files only `members` of the list (and the namespace) may read."""

    id: str
    private: bool
    created: str
    refs: dict[str, str] = field(default_factory=dict)
    discussions: list[Discussion] = field(default_factory=list)
    gated: bool = False
    members: list[str] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def git_sum(content: bytes) -> str:
    """What `git hash-object` gives."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps for a file in LFS; its form is git-lfs's specification."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Storage:
    """The folder; `lock` is held over every change that reads before it writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        for name in ("blobs", "parts", "repos", "temporary"):
            (root / name).mkdir(parents=True, exist_ok=True)

    # Contents

    def blob(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256

    def temporary(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self.root / "temporary")
        os.close(handle)
        return Path(name)

    def keep(self, content: bytes, *, lfs: bool = False) -> Entry:
        """Keeps a content, and gives the entry for it."""
        sha256 = hashlib.sha256(content).hexdigest()
        _write(self.blob(sha256), content)
        return self.entry(sha256, lfs=lfs)

    def entry(self, sha256: str, *, lfs: bool) -> Entry:
        """The entry for a content that is there."""
        size = self.blob(sha256).stat().st_size
        git_oid = git_sum(lfs_pointer(sha256, size) if lfs else self.blob(sha256).read_bytes())
        return Entry(sha256, size, git_oid, lfs)

    # Repos

    def repo(self, repo_id: str) -> Repo | None:
        path = self._folder(repo_id) / "repo.json"
        if not path.exists():
            return None
        content = json.loads(path.read_text())
        content["discussions"] = [Discussion(**discussion) for discussion in content["discussions"]]
        return Repo(**content)

    def save(self, repo: Repo) -> None:
        _write(self._folder(repo.id) / "repo.json", json.dumps(asdict(repo), indent=1).encode())

    def create(self, repo_id: str, author: str, *, private: bool = False) -> Repo:
        """A new repo, with the one commit that the Hub gives it."""
        repo = Repo(repo_id, private, now())
        files = {".gitattributes": self.keep(GIT_ATTRIBUTES.encode())}
        repo.refs[MAIN] = self.write_commit(repo, None, files, "initial commit", "", author).oid
        self.save(repo)
        return repo

    def delete(self, repo_id: str) -> None:
        shutil.rmtree(self._folder(repo_id))

    # Commits

    def commit(self, repo: Repo, oid: str) -> Commit:
        content = json.loads((self._folder(repo.id) / "commits" / f"{oid}.json").read_text())
        content["files"] = {name: Entry(**entry) for name, entry in content["files"].items()}
        return Commit(**content)

    def resolve(self, repo: Repo, revision: str) -> Commit:
        """The commit that a branch, a full ref, or (the start of) a commit's id means."""
        for ref in (f"refs/heads/{revision}", revision):
            if ref in repo.refs:
                return self.commit(repo, repo.refs[ref])
        found = [*(self._folder(repo.id) / "commits").glob(f"{revision}*.json")] if _is_oid(revision) else []
        if len(found) != 1:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commit(repo, found[0].stem)

    def history(self, repo: Repo, revision: str) -> Iterator[Commit]:
        """The commits of a revision, the newest first."""
        commit: Commit | None = self.resolve(repo, revision)
        while commit is not None:
            yield commit
            commit = self.commit(repo, commit.parent) if commit.parent else None

    def write_commit(
        self, repo: Repo, parent: str | None, files: Mapping[str, Entry], title: str, message: str, author: str
    ) -> Commit:
        """Writes a commit that no ref names yet. Two of the same content are two commits, as in git."""
        tree = {name: asdict(files[name]) for name in sorted(files)}
        content: dict[str, Any] = {"parent": parent, "title": title, "message": message, "author": author}
        content.update(date=now(), files=tree)
        folder = self._folder(repo.id) / "commits"
        number = len([*folder.glob("*.json")])
        oid = hashlib.sha1(json.dumps([number, content]).encode()).hexdigest()
        _write(folder / f"{oid}.json", json.dumps({"oid": oid, **content}, indent=1).encode())
        return self.commit(repo, oid)

    def _folder(self, repo_id: str) -> Path:
        return self.root / "repos" / repo_id


def _is_oid(text: str) -> bool:
    return 5 <= len(text) <= 40 and set(text) <= set("0123456789abcdef")


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, whenever the server is stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
    part.write_bytes(content)
    part.replace(path)
