"""The Hub without its wires: what the routes work on, and what a test looks at."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .exchange import Exchange, Refused
from .faults import Faults
from .rights import Rights, Token
from .storage import Commit, Discussion, Repo, Storage

OWNER = "tester"


@dataclass(frozen=True)
class Logged:
    """A request: `status` is None where the connection was dropped, `fault` the name of what was done to it.

    `received` counts the bytes of the body that the server took, `sent` those of the answer's that it gave; `repo` is empty
    where the path names none.
    """

    method: str
    path: str
    phase: str
    status: int | None
    fault: str | None
    authorized: bool
    repo: str
    received: int
    sent: int = 0


class Hub:
    """A Hub on this machine.

    Args:
        state: the folder that holds everything; one of an earlier server goes on where that one ended.
        tokens: that the server knows; more by `add_token`.
        part_size: bytes above which an LFS object is uploaded in parts of that size; None: always in one.
        page: rows that a page of a listing has.

    Attributes:
        endpoint: for HF_ENDPOINT.
        log: every request, in the order in which their answers were ready.
        faults: the script of what goes wrong.
        crashes: exceptions of the server itself, of which there must be none.
    """

    def __init__(self, state: Path, tokens: Iterable[Token], *, part_size: int | None, page: int) -> None:
        self.state, self.part_size, self.page = state, part_size, page
        self.storage = Storage(state)
        self.rights = Rights(self.storage)
        self.rights.add(tokens)
        self.faults = Faults()
        self.log: list[Logged] = []
        self.crashes: list[BaseException] = []
        self.port = 0
        self._stopping = threading.Event()
        self._arrivals = threading.Condition()
        self._arrived: list[str] = []  # the phases of all requests, in the order in which they arrived
        self._released = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_host(self) -> str:
        """Where large files are: another host to a client, which must not show it the token."""
        return f"http://localhost:{self.port}"

    # For a test

    def add_token(self, token: Token) -> None:
        self.rights.add([token])

    def seed(
        self, repo_id: str, files: Path | Mapping[str, bytes], *, private: bool = False, gated: bool = False
    ) -> Commit:
        """Puts files into a repo without a request, in one commit, or in none; the repo is made if there is none."""
        if isinstance(files, Path):
            files = {
                path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()
            }
        with self.storage.lock:
            repo = self.storage.repo(repo_id) or self.storage.create(repo_id, OWNER, private=private)
            repo.gated = gated
            self.storage.save(repo)
            if not files:
                return self.storage.resolve(repo, "main")
            return self._commit(repo, "main", files, "Seed", OWNER)

    def commits(self, repo_id: str, revision: str = "main") -> list[Commit]:
        """The history of a revision, the newest first; its last is the Hub's own first commit."""
        return list(self.storage.history(self._there(repo_id), revision))

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """The content of a revision."""
        commit = self.storage.resolve(self._there(repo_id), revision)
        return {name: self.storage.blob(entry.sha256).read_bytes() for name, entry in commit.files.items()}

    def pull_requests(self, repo_id: str) -> list[Discussion]:
        """The oldest first; the commits of one: `hub.commits(repo_id, pull_request.ref)`."""
        return [discussion for discussion in self._there(repo_id).discussions if discussion.base]

    def has(self, repo_id: str) -> bool:
        return self.storage.repo(repo_id) is not None

    def is_private(self, repo_id: str) -> bool:
        return self._there(repo_id).private

    def requests(self, phase: str) -> list[Logged]:
        """The log of one phase."""
        return [logged for logged in self.log if logged.phase == phase]

    def _there(self, repo_id: str) -> Repo:
        repo = self.storage.repo(repo_id)
        assert repo is not None, f"no repo {repo_id}"
        return repo

    def seed_file(self, repo_id: str, name: str, path: Path, sha256: str) -> Commit:
        """Puts a file into a repo under a checksum that nobody computes: one of many gigabytes, with holes."""
        with self.storage.lock:
            repo = self.storage.repo(repo_id) or self.storage.create(repo_id, OWNER)
            path.rename(self.storage.blob(sha256))
            head = self.storage.resolve(repo, "main")
            entry = self.storage.entry(sha256, lfs=True)
            made = self.storage.write_commit(repo, head.oid, {**head.files, name: entry}, "Seed", "", OWNER)
            repo.refs[self.ref(repo, "main")] = made.oid
            self.storage.save(repo)
            return made

    # For the routes

    def ref(self, repo: Repo, revision: str) -> str:
        """The ref that a commit onto `revision` moves."""
        for ref in (f"refs/heads/{revision}", revision):
            if ref in repo.refs:
                return ref
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def signed(self, path: str, host: str | None = None) -> str:
        """An address that works without a token."""
        return f"{host or self.storage_host}{path}?signature={_signature(path)}"

    def check_signature(self, exchange: Exchange) -> None:
        if exchange.query.get("signature") != [_signature(exchange.path)]:
            raise Refused(403, "The signature does not match")

    # For the faults

    def arrive(self, exchange: Exchange) -> None:
        """Counts a request, of which whoever holds an earlier one is told."""
        with self._arrivals:
            self._arrived.append(exchange.phase)
            exchange.number = len(self._arrived)
            self._arrivals.notify_all()

    def release(self) -> None:
        """Ends every hold."""
        with self._arrivals:
            self._released = True
            self._arrivals.notify_all()

    def hold(self, exchange: Exchange, until: str) -> None:
        def over() -> bool:
            later = self._arrived[exchange.number :]
            return self._released or any(until in ("", phase) for phase in later)

        with self._arrivals:
            self._arrivals.wait_for(over)

    def wait(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def overtake(self, exchange: Exchange, files: Mapping[str, bytes], author: str) -> None:
        with self.storage.lock:
            revision = exchange.groups.get("revision", "main")
            self._commit(self._there(exchange.repo), revision, files, "Somebody else's commit", author)

    def stop(self) -> None:
        self._stopping.set()
        self.release()

    def _commit(self, repo: Repo, revision: str, files: Mapping[str, bytes], title: str, author: str) -> Commit:
        head = self.storage.resolve(repo, revision)
        large = (".safetensors", ".bin", ".pt")
        kept = {name: self.storage.keep(content, lfs=name.endswith(large)) for name, content in files.items()}
        made = self.storage.write_commit(repo, head.oid, {**head.files, **kept}, title, "", author)
        repo.refs[self.ref(repo, revision)] = made.oid
        self.storage.save(repo)
        return made


def _signature(path: str) -> str:
    return hashlib.sha256(f"loopback {path}".encode()).hexdigest()[:16]
