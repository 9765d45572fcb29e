"""A repo as it is at one commit, and what it lacks of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.files import REPORT_FILE
from prenorm.hub.publishable import Publishable, PublishableFile
from prenorm.hub.retries import Requests

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Files that the Hub makes for itself.
_FILES_OF_THE_HUB = frozenset({".gitattributes", ".gitignore"})


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub, known by SHA-256 where it is in LFS and by its git id where it is not."""

    size: int
    sha256: str | None
    git_oid: str | None

    def has_content_of(self, file: PublishableFile) -> bool:
        """Return whether a local file has the same content.

        Args:
            file: the local file, hashed.

        Returns:
            True if it has.
        """
        return file.sha256 == self.sha256 if self.sha256 is not None else file.git_oid == self.git_oid


@dataclass(frozen=True)
class RemoteRepo:
    """A repo at one commit."""

    commit: str
    private: bool
    files: Mapping[str, RemoteFile]

    def has(self, file: PublishableFile) -> bool:
        """Return whether the repo holds a local file, under its name and with its content.

        Args:
            file: the local file, hashed.

        Returns:
            True if it does.
        """
        remote = self.files.get(file.name)
        return remote is not None and remote.has_content_of(file)


@dataclass(frozen=True)
class Changes:
    """What a push does to the files of a repo.

    Attributes:
        send: files that the repo lacks, or has with another content.
        remove: names of an earlier conversion's files that this one does not have.
        unchanged: names of files that are there already.
        others: names of files that are not prenorm's; they stay.
    """

    send: tuple[PublishableFile, ...]
    remove: tuple[str, ...]
    unchanged: tuple[str, ...]
    others: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.send or self.remove)


def read_repo(api: HfApi, requests: Requests, revision: str | None) -> RemoteRepo | None:
    """Ask the Hub what a repo holds.

    Args:
        api: huggingface_hub's client.
        requests: makes the requests about the repo.
        revision: branch, tag, commit or reference; None for the main branch.

    Returns:
        The repo; None if there is no such repo, or none that the token may see.

    Raises:
        HubProblem: if the Hub does not answer, or the repo has no such revision.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def request() -> RemoteRepo | None:
        try:
            info = api.model_info(
                requests.repo_id, revision=revision, files_metadata=True, timeout=requests.policy.timeout
            )
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
        files = {
            item.rfilename: RemoteFile(item.size or 0, item.lfs.sha256 if item.lfs else None, item.blob_id)
            for item in info.siblings or ()
        }
        return RemoteRepo(info.sha or "", bool(info.private), files)

    return requests("looking at the repo", request)


def changes_between(folder: Publishable, repo: RemoteRepo | None, earlier: frozenset[str]) -> Changes:
    """Compare a folder with a repo.

    Args:
        folder: what the repo is to hold.
        repo: what it holds; None if it is still to be created.
        earlier: the names that the repo's own report lists: what an earlier conversion put there and this one does not
            have, such as the shards of larger weights, is removed; all else is somebody else's.

    Returns:
        What a push has to do.
    """
    if repo is None:
        return Changes(folder.files, (), (), ())
    others = repo.files.keys() - {file.name for file in folder.files}
    remove = others & earlier
    return Changes(
        tuple(file for file in folder.files if not repo.has(file)),
        tuple(sorted(remove)),
        tuple(file.name for file in folder.files if repo.has(file)),
        tuple(sorted(others - remove - _FILES_OF_THE_HUB)),
    )


def earlier_files(api: HfApi, requests: Requests, repo: RemoteRepo | None) -> frozenset[str]:
    """Read which files an earlier conversion put into a repo.

    Args:
        api: huggingface_hub's client.
        requests: makes the requests about the repo.
        repo: what it holds.

    Returns:
        The names that the repo's own report lists; none if it has no report of prenorm.

    Raises:
        HubProblem: if the Hub does not hand out the report.
    """
    if repo is None or REPORT_FILE not in repo.files:
        return frozenset()
    path = Path(
        requests(
            "reading the repo's own report",
            lambda: api.hf_hub_download(requests.repo_id, REPORT_FILE, revision=repo.commit),
        )
    )
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["target"]["files"]
        return frozenset(str(file["name"]) for file in listed)
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()  # a file of that name which is not a report of prenorm
