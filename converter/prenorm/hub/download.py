"""Downloads: what verification needs of a folder, and checkpoints; of one commit each, in huggingface_hub's cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prenorm.errors import HubProblem, UnreadableCheckpoint, UsageProblem
from prenorm.files import (
    CONFIG_FILE,
    INDEX_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_SOURCES,
    TOKENIZER_SUPPLEMENTS,
    WEIGHTS_FILE,
    or_nearest,
)
from prenorm.hub.addresses import HubFile
from prenorm.hub.client import check_token, prepare_client
from prenorm.hub.publishable import PublishableFile
from prenorm.hub.remote import RemoteRepo, read_repo
from prenorm.hub.retries import Requests, RetryPolicy
from prenorm.hub.transfer import counted_in
from prenorm.progress import Progress, Silent

_TOKENIZER_FILES = (*TOKENIZER_SOURCES, TOKENIZER_CONFIG_FILE, *TOKENIZER_SUPPLEMENTS)
# Single file and index of each kind of weights. The first that a repo has is downloaded: the one that loaders take.
_WEIGHTS = ((WEIGHTS_FILE, INDEX_FILE), ("pytorch_model.bin", "pytorch_model.bin.index.json"))
_POLICY = RetryPolicy(attempts=3)


@dataclass(frozen=True)
class HubOrigin:
    """Where a checkpoint was downloaded from.

    Attributes:
        file: its address.
        commit: the one that the address' revision stood for.
        sha256: what the Hub says of its content; None for a small file outside LFS.
    """

    file: HubFile
    commit: str
    sha256: str | None

    def to_dict(self) -> dict[str, object]:
        """Return where the checkpoint comes from.

        Returns:
            What the report says of it.
        """
        return {"repo_id": self.file.repo_id, "path": self.file.path, "commit": self.commit}


def download_folder(
    repo_id: str,
    revision: str | None,
    into: Path,
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> str:
    """Download config, weights and tokenizer of a repo into a folder, as links into huggingface_hub's cache.

    Args:
        repo_id: `org/name`.
        revision: branch, tag or commit; None for the main branch.
        into: an empty folder.
        policy: how failed requests are repeated.
        progress: receives a warning for each request that is tried again.

    Returns:
        The commit that the files are of.

    Raises:
        HubProblem: if the Hub does not have them, or does not answer.
        UsageProblem: if the repo has no model.
        UnreadableCheckpoint: if a file does not arrive as the Hub has it.
    """
    snapshot = _Snapshot.of(repo_id, revision, policy or _POLICY, progress or Silent())
    if CONFIG_FILE not in snapshot.repo.files:
        raise UsageProblem(
            f"the repo has no {CONFIG_FILE}, so it is no model", subject=repo_id, advice="Check the repo id"
        )
    wanted = [CONFIG_FILE, *_TOKENIZER_FILES, *_weight_files(snapshot)]
    for name, path in snapshot.download_all([name for name in wanted if name in snapshot.repo.files]).items():
        (into / name).symlink_to(path.resolve())
    return snapshot.repo.commit


def download_checkpoint(
    file: HubFile,
    is_needed: Callable[[str], bool],
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> tuple[Path, HubOrigin]:
    """Download a checkpoint, and the files of its folder that are read with it, into huggingface_hub's cache.

    Args:
        file: the checkpoint.
        is_needed: whether a file of this name, in the checkpoint's folder, is read with it.
        policy: how failed requests are repeated.
        progress: receives a warning for each request that is tried again.

    Returns:
        The checkpoint's path in the cache, and where it comes from.

    Raises:
        HubProblem: if the Hub does not have it, or does not answer.
        UsageProblem: if the repo has no such file.
        UnreadableCheckpoint: if a file does not arrive as the Hub has it.
    """
    snapshot = _Snapshot.of(file.repo_id, file.revision, policy or _POLICY, progress or Silent())
    if file.path not in snapshot.repo.files:
        raise UsageProblem(
            f"the repo has no file '{file.path}' at commit {snapshot.repo.commit[:12]}",
            subject=str(file),
            advice="Check the path and the revision",
        )
    checkpoint = PurePosixPath(file.path)
    siblings = [
        str(path)
        for path in map(PurePosixPath, snapshot.repo.files)
        if path != checkpoint and path.parent == checkpoint.parent and is_needed(path.name)
    ]
    paths = snapshot.download_all([*siblings, file.path])
    return paths[file.path], HubOrigin(file, snapshot.repo.commit, snapshot.repo.files[file.path].sha256)


@dataclass(frozen=True)
class _Snapshot:
    """The files of a repo at one commit, and the way to download them."""

    requests: Requests
    repo: RemoteRepo

    @classmethod
    def of(cls, repo_id: str, revision: str | None, policy: RetryPolicy, progress: Progress) -> _Snapshot:
        """Read which commit a revision is, and what it holds."""
        from huggingface_hub import HfApi

        check_token(repo_id, needed=False)
        prepare_client(policy.timeout, repeats=True)
        requests = Requests(repo_id, policy, progress)
        repo = read_repo(HfApi(), requests, revision)
        if repo is None:
            raise HubProblem(
                "the Hub has no such repo, or it is private and no token that may read it is given",
                subject=repo_id,
                advice=or_nearest(Path(repo_id), "Check the name, or log in with `hf auth login` (or HF_TOKEN)"),
            )
        return cls(requests, repo)

    def download_all(self, names: Sequence[str]) -> dict[str, Path]:
        """Download files as one stage, of which those in the cache are no part.

        Args:
            names: the files' names in the repo.

        Returns:
            Their paths in the cache.

        Raises:
            HubProblem: if the Hub does not hand one out.
            UnreadableCheckpoint: if what arrives is, each time, not what the Hub says it has.
        """
        missing = sum(self.repo.files[name].size for name in names if self._cached(name) is None)
        if missing:
            self.requests.progress.stage("Downloading", missing)
        return {name: self.download(name) for name in names}

    def _cached(self, name: str) -> str | None:
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(self.requests.repo_id, name, revision=self.repo.commit)
        return path if isinstance(path, str) else None

    def download(self, name: str) -> Path:
        """Download a file into the cache, and return its path there.

        huggingface_hub resumes where a connection broke; what it gives up on is requested once more.

        Args:
            name: the file's name in the repo.

        Returns:
            Its path in the cache.

        Raises:
            HubProblem: if the Hub does not hand it out.
            UnreadableCheckpoint: if what arrives is, each time, not what the Hub says it has.
        """
        from huggingface_hub import hf_hub_download

        announced, cached = self.repo.files[name], self._cached(name)
        counted = counted_in(self.requests.progress)

        def request() -> Path:
            path = Path(hf_hub_download(self.requests.repo_id, name, revision=self.repo.commit, **counted))
            # huggingface_hub compares sizes only. What is in the cache was compared with its sum when it came.
            if str(path) != cached and not announced.has_content_of(PublishableFile.at(path, Silent())):
                path.resolve().unlink()  # a wrong file in the cache would be taken for the right one ever after
                path.unlink(missing_ok=True)
                raise _Damaged
            return path

        try:
            return self.requests.repeated_once()(f"downloading {name}", request)
        except HubProblem as error:
            if not isinstance(error.__cause__, _Damaged):
                raise
            raise UnreadableCheckpoint(
                f"'{name}' does not arrive as it is on the Hub: its SHA-256 differs",
                subject=self.requests.repo_id,
                advice="Check any proxy between, and run the command again",
            ) from error


class _Damaged(ConnectionError):
    """What arrived is not what the Hub announced."""


def _weight_files(snapshot: _Snapshot) -> Iterator[str]:
    """Yield the files of the first kind of weights that the repo has, shards included."""
    for single, index in _WEIGHTS:
        if single in snapshot.repo.files:
            yield single
            return
        if index in snapshot.repo.files:
            content = json.loads(snapshot.download(index).read_text(encoding="utf-8"))
            names = set(content["weight_map"].values()) if isinstance(content, dict) else set()
            if not all(isinstance(name, str) and Path(name).name == name for name in names):
                raise UsageProblem(
                    f"{index} names files outside the repo", subject=snapshot.requests.repo_id, advice="Do not trust it"
                )
            yield from (index, *sorted(names))
            return
