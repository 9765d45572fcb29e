"""Checkpoints on the Hub: which files one needs, and which of them are read by ranges, or are downloaded whole.

A large file is read by ranges: of one with its optimizer's state a third is weights. A small one is downloaded whole, since
its checksum can be checked then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from prenorm.errors import HubProblem, UnreadableCheckpoint, UsageProblem
from prenorm.hub.addresses import HubFile
from prenorm.hub.ranges import RangesIgnored, RangeSource
from prenorm.hub.remote import RemoteFile
from prenorm.hub.retries import Requests, RetryPolicy
from prenorm.hub.snapshot import POLICY, Snapshot
from prenorm.hub.stored import RepoStore
from prenorm.progress import Progress, Silent

_SMALLEST_RANGED = 16 << 20  # bytes
_HEAD = 64 << 10  # bytes that are asked for first, whatever is read then
_LARGEST = 1 << 44  # bytes; no file system of a laptop has files as large
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubCheckpoint:
    """A checkpoint that lies on the Hub.

    Attributes:
        path: its local file; the files that are read with it are beside it.
        file: its address.
        commit: the one that the address' revision stood for.
        announced: what the Hub says of its files' SHA-256, by name; of small files outside LFS it says nothing.
        sources: where the bytes of files come from that are read by ranges, by path.
    """

    path: Path
    file: HubFile
    commit: str
    announced: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[Path, RangeSource] = field(default_factory=dict)

    def origin(self) -> dict[str, object]:
        """Return where the checkpoint comes from.

        Returns:
            What the report says of it.
        """
        return {"repo_id": self.file.repo_id, "path": self.file.path, "commit": self.commit}


def find_checkpoint(
    file: HubFile,
    is_part: Callable[[str], bool],
    is_beside: Callable[[str], bool],
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
    *,
    whole: bool = False,
) -> HubCheckpoint:
    """Find a checkpoint and the files of its folder that are read with it; small files are downloaded.

    What huggingface_hub has in its cache is read there. Where HF_HUB_OFFLINE forbids asking, a revision stands for the commit
    that it stood for when it was last asked for.

    Args:
        file: the checkpoint.
        is_part: whether a file of this name, in the checkpoint's folder, is another part of it.
        is_beside: whether a file of this name, there, is read with it.
        policy: how failed requests are repeated.
        progress: receives a warning for each request that is tried again.
        whole: whether large files are downloaded whole, too.

    Returns:
        The checkpoint.

    Raises:
        HubProblem: if the Hub does not have it, or does not answer.
        UsageProblem: if the repo has no such file.
        UnreadableCheckpoint: if a file does not arrive as the Hub has it.
    """
    store = RepoStore(file.repo_id)
    snapshot = _snapshot(file, store, policy or POLICY, progress or Silent())
    files, commit = snapshot.repo.files, snapshot.repo.commit
    if file.path not in files:
        raise UsageProblem(
            f"the repo has no file '{file.path}' at commit {commit[:12]}",
            subject=str(file),
            advice="Check the path and the revision",
        )
    folder = PurePosixPath(file.path).parent
    others = [path for path in map(PurePosixPath, files) if path.parent == folder and str(path) != file.path]
    parts = [*(str(path) for path in others if is_part(path.name)), file.path]
    companions = [str(path) for path in others if is_beside(path.name)]
    ranged = [] if whole or not _can_read_ranges() else [name for name in parts if _is_ranged(snapshot, name)]
    sources = {name: source for name in ranged if (source := _source(snapshot, store, name)) is not None}
    local = snapshot.download_all([name for name in (*companions, *parts) if name not in sources])
    paths = dict(local)
    if sources:
        targets = {**local, **{name: source.path for name, source in sources.items()}}
        paths = {name: store.link(commit, name, target) for name, target in targets.items()}
    return HubCheckpoint(
        paths[file.path],
        file,
        commit,
        {PurePosixPath(name).name: sha256 for name in parts if (sha256 := files[name].sha256) is not None},
        {paths[name]: source for name, source in sources.items()},
    )


def _snapshot(file: HubFile, store: RepoStore, policy: RetryPolicy, progress: Progress) -> Snapshot:
    """Find out what the repo holds, from the Hub, or from what it said before where it may not be asked."""
    from huggingface_hub import is_offline_mode

    known = store.recall(file.revision) if is_offline_mode() else None
    if known is not None:
        return Snapshot(Requests(file.repo_id, policy, progress), known)
    snapshot = Snapshot.of(file.repo_id, file.revision, policy, progress)
    if not _COMMIT.fullmatch(snapshot.repo.commit):
        raise HubProblem(
            "what answers does not say which commit it speaks of", subject=file.repo_id, advice="Check HF_ENDPOINT"
        )
    store.remember(file.revision, snapshot.repo)
    return snapshot


def _can_read_ranges() -> bool:
    """Return whether huggingface_hub's client can hand out an answer in pieces: before 1.0 it is another client."""
    import huggingface_hub

    return hasattr(huggingface_hub, "set_client_factory")


def _is_ranged(snapshot: Snapshot, name: str) -> bool:
    remote = snapshot.repo.files[name]
    return remote.size >= _SMALLEST_RANGED and _has_sum(remote) and snapshot.cached(name) is None


def _has_sum(remote: RemoteFile) -> bool:
    return remote.sha256 is not None and _SHA256.fullmatch(remote.sha256) is not None


def _source(snapshot: Snapshot, store: RepoStore, name: str) -> RangeSource | None:
    """Open a file for reading by ranges; None, with a warning, if its server knows none."""
    remote = snapshot.repo.files[name]
    assert remote.sha256 is not None
    if remote.size > _LARGEST:
        raise UnreadableCheckpoint(
            f"'{name}' is said to have {remote.size:,} bytes, more than any checkpoint",
            subject=snapshot.requests.repo_id,
        )
    source = RangeSource(snapshot.requests, snapshot.repo.commit, name, remote, store.blob(remote.sha256, remote.size))
    try:
        source.fetch([(0, min(_HEAD, remote.size))])
    except RangesIgnored:
        source.forget()
        snapshot.requests.progress.warn(f"the server of '{name}' hands out no part of a file, so it is fetched whole")
        return None
    return source
