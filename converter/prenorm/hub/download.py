"""From the Hub: the files of a folder that verification needs, and checkpoints; each at one commit, in the client's cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
)
from prenorm.hub.addresses import HubFile
from prenorm.hub.client import check_token, prepare_client
from prenorm.hub.patience import Asking, Patience
from prenorm.hub.remote import Remote, look
from prenorm.progress import Progress, Silent

_TOKENIZER_FILES = (*TOKENIZER_SOURCES, TOKENIZER_CONFIG_FILE, *TOKENIZER_SUPPLEMENTS)
# Index and single file of each kind of weights; the first kind that a repo has is downloaded.
_WEIGHTS = ((INDEX_FILE, WEIGHTS_FILE), ("pytorch_model.bin.index.json", "pytorch_model.bin"))
_PATIENCE = Patience(attempts=3)


@dataclass(frozen=True)
class HubOrigin:
    """Where a checkpoint was downloaded from: the commit is the one its revision stood for."""

    file: HubFile
    commit: str
    sha256: str | None

    def to_dict(self) -> dict[str, object]:
        """For the report."""
        return {"repo_id": self.file.repo_id, "path": self.file.path, "commit": self.commit}


def download_folder(
    repo_id: str,
    revision: str | None,
    into: Path,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> str:
    """Download config, weights and tokenizer of a repo into a folder, as links into huggingface_hub's cache.

    Args:
        repo_id: `org/name`.
        revision: branch, tag or commit; None for the main branch.
        into: an empty folder.
        patience: how often a request is tried.
        progress: receives a warning for each request that is tried again.

    Returns:
        The commit that the files are of.

    Raises:
        HubProblem: if the Hub does not have them, or does not answer.
        UsageProblem: if the repo has no model.
        UnreadableCheckpoint: if a file does not arrive as the Hub has it.
    """
    repo = _Repo.at(repo_id, revision, patience or _PATIENCE, progress or Silent())
    if CONFIG_FILE not in repo.remote.files:
        raise UsageProblem(
            f"the repo has no {CONFIG_FILE}, so it is no model", subject=repo_id, advice="Check the repo id"
        )
    wanted = [CONFIG_FILE, *_TOKENIZER_FILES, *_weight_files(repo)]
    for name in wanted:
        if name in repo.remote.files:
            (into / name).symlink_to(repo.download(name).resolve())
    return repo.remote.commit


def download_checkpoint(
    file: HubFile,
    is_needed: Callable[[str], bool],
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> tuple[Path, HubOrigin]:
    """Download a checkpoint, and the files of its folder that are read with it, into huggingface_hub's cache.

    Args:
        file: the checkpoint.
        is_needed: whether a file of this name, in the checkpoint's folder, is read with it.
        patience: how often a request is tried.
        progress: receives a warning for each request that is tried again.

    Returns:
        The checkpoint's path in the cache, and where it comes from.

    Raises:
        HubProblem: if the Hub does not have it, or does not answer.
        UsageProblem: if the repo has no such file.
        UnreadableCheckpoint: if a file does not arrive as the Hub has it.
    """
    repo = _Repo.at(file.repo_id, file.revision, patience or _PATIENCE, progress or Silent())
    if file.path not in repo.remote.files:
        raise UsageProblem(
            f"the repo has no file '{file.path}' at commit {repo.remote.commit[:12]}",
            subject=str(file),
            advice="Check the path and the revision",
        )
    checkpoint = PurePosixPath(file.path)
    for path in map(PurePosixPath, repo.remote.files):
        if path != checkpoint and path.parent == checkpoint.parent and is_needed(path.name):
            repo.download(str(path))
    return repo.download(file.path), HubOrigin(file, repo.remote.commit, repo.remote.files[file.path].sha256)


@dataclass(frozen=True)
class _Repo:
    """A repo at one commit, and how to ask for its files."""

    asking: Asking
    remote: Remote

    @classmethod
    def at(cls, repo_id: str, revision: str | None, patience: Patience, watch: Progress) -> _Repo:
        from huggingface_hub import HfApi

        check_token(repo_id, needed=False)
        prepare_client(patience.timeout, repeats=True)
        asking = Asking(repo_id, patience, watch)
        remote = look(HfApi(), asking, revision)
        if remote is None:
            raise HubProblem(
                "the Hub has no such repo, or it is private and no token that may read it is given",
                subject=repo_id,
                advice="Check the name, or log in with `hf auth login` (or HF_TOKEN)",
            )
        return cls(asking, remote)

    def download(self, name: str) -> Path:
        """A file, in the cache. The client goes on where a connection broke, and what it gives up on is tried once more.

        Raises:
            UnreadableCheckpoint: if what arrives is, each time, not what the Hub says it has.
        """
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

        announced = self.remote.files[name]
        commit = self.remote.commit
        known = try_to_load_from_cache(self.asking.repo_id, name, revision=commit)

        def ask() -> Path:
            path = Path(hf_hub_download(self.asking.repo_id, name, revision=commit))
            # The client compares sizes only. What was in the cache was held against its sum when it came.
            if str(path) != known and not announced.is_at(path):
                path.resolve().unlink()  # a wrong file in the cache would be taken for the right one ever after
                path.unlink(missing_ok=True)
                raise _Damaged
            return path

        try:
            return self.asking.seldom()(f"downloading {name}", ask)
        except HubProblem as error:
            if not isinstance(error.__cause__, _Damaged):
                raise
            raise UnreadableCheckpoint(
                f"'{name}' does not arrive as it is on the Hub: its SHA-256 differs",
                subject=self.asking.repo_id,
                advice="Check any proxy between, and run the command again",
            ) from error


class _Damaged(ConnectionError):
    """What arrived is not what is there."""


def _weight_files(repo: _Repo) -> Iterator[str]:
    """The files of the first kind of weights that the repo has, shards included."""
    for index, single in _WEIGHTS:
        if index in repo.remote.files:
            content = json.loads(repo.download(index).read_text(encoding="utf-8"))
            names = set(content["weight_map"].values()) if isinstance(content, dict) else set()
            if not all(isinstance(name, str) and Path(name).name == name for name in names):
                raise UsageProblem(
                    f"{index} names files outside the repo", subject=repo.asking.repo_id, advice="Do not trust it"
                )
            yield from (index, *sorted(names))
            return
        if single in repo.remote.files:
            yield single
            return
