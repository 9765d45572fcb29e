"""From the Hub: the files of a folder that verification needs, and checkpoints; each at one commit, in the client's cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prenorm.errors import HubProblem, UnreadableCheckpoint, UsageProblem
from prenorm.hub.addresses import HubFile
from prenorm.hub.client import check_token, prepare_client
from prenorm.hub.patience import Asking, Patience
from prenorm.hub.remote import Remote, look
from prenorm.progress import Progress, Silent

_CONFIG = "config.json"
_OPTIONAL = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
)  # fmt: skip
_WEIGHTS = (
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
)
_PATIENCE = Patience(attempts=3)
# What is looked for beside a checkpoint, as are the other files of one in several.
_DICTIONARY = "dict.txt"


@dataclass(frozen=True)
class HubOrigin:
    """Where a checkpoint was downloaded from: the commit is the one its revision stood for."""

    file: HubFile
    commit: str
    sha256: str | None

    def to_dict(self) -> dict[str, object]:
        """For the report."""
        return {"repo_id": self.file.repo_id, "path": self.file.path, "commit": self.commit}


def download_folder(repo_id: str, revision: str | None, into: Path, patience: Patience | None = None) -> str:
    """Brings config, weights and tokenizer of a repo into the folder `into`, as links into huggingface_hub's cache.

    Returns:
        The commit they are of.

    Raises:
        HubProblem: if the Hub does not have them, or does not answer.
        UsageProblem: if the repo has no model.
    """
    repo = _Repo.at(repo_id, revision, patience or _PATIENCE, Silent())
    if _CONFIG not in repo.remote.files:
        raise UsageProblem(f"the repo has no {_CONFIG}, so it is no model", subject=repo_id, advice="Check the repo id")
    wanted = [_CONFIG, *_OPTIONAL, *_weight_files(repo)]
    for name in wanted:
        if name in repo.remote.files:
            (into / name).symlink_to(repo.download(name).resolve())
    return repo.remote.commit


def download_checkpoint(
    file: HubFile,
    patience: Patience | None = None,
    progress: Progress | None = None,
    are_siblings: Callable[[str, str], bool] = lambda name, other: False,
) -> tuple[Path, HubOrigin]:
    """Brings a checkpoint into the client's cache, with the dictionary and the other parts that lie beside it.

    Args:
        file: where it lies on the Hub.
        patience: how long to wait and how often to ask.
        progress: told how far the download is.
        are_siblings: says of two file names in one folder whether they are parts of one checkpoint.

    Returns:
        Its path there, and what it is.

    Raises:
        HubProblem: if the Hub does not have it, or does not answer.
        UsageProblem: if the repo has no such file.
    """
    repo = _Repo.at(file.repo_id, file.revision, patience or _PATIENCE, progress or Silent())
    if file.path not in repo.remote.files:
        raise UsageProblem(
            f"the repo has no file '{file.path}' at commit {repo.remote.commit[:12]}",
            subject=str(file),
            advice="Check the path and the revision",
        )
    for name in _beside(file.path, repo.remote, are_siblings):
        repo.download(name)
    return repo.download(file.path), HubOrigin(file, repo.remote.commit, repo.remote.files[file.path].sha256)


def _beside(path: str, remote: Remote, are_siblings: Callable[[str, str], bool]) -> Iterator[str]:
    """Yield the files that are read with the checkpoint at `path`."""
    checkpoint = PurePosixPath(path)
    for name in remote.files:
        other = PurePosixPath(name)
        if other.parent != checkpoint.parent or other == checkpoint:
            continue
        if other.name == _DICTIONARY or are_siblings(checkpoint.name, other.name):
            yield name


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
