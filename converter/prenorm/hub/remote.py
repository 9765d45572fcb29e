"""A repo as it is at one commit, and what it lacks of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.files import REPORT_FILE
from prenorm.hub.patience import Asking
from prenorm.hub.publishable import Publishable, PublishableFile
from prenorm.progress import Silent

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What the Hub keeps for itself.
_HUBS_OWN = frozenset({".gitattributes", ".gitignore"})


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub, known by SHA-256 where it is in LFS and by its git id where it is not."""

    size: int
    sha256: str | None
    git_oid: str | None

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` is this one."""
        found = PublishableFile.at(path, Silent())
        return found.sha256 == self.sha256 if self.sha256 is not None else found.git_oid == self.git_oid


@dataclass(frozen=True)
class Remote:
    """A repo at one commit."""

    commit: str
    private: bool
    files: Mapping[str, RemoteFile]

    def has(self, file: PublishableFile) -> bool:
        """Whether the repo holds just this file."""
        there = self.files.get(file.name)
        if there is None:
            return False
        return there.sha256 == file.sha256 if there.sha256 is not None else there.git_oid == file.git_oid


@dataclass(frozen=True)
class Changes:
    """What a push sends and takes away, what is there already, and what of others stays as it is."""

    send: tuple[PublishableFile, ...]
    remove: tuple[str, ...]
    unchanged: tuple[str, ...]
    others: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.send or self.remove)


def look(api: HfApi, asking: Asking, revision: str | None) -> Remote | None:
    """The repo at `revision`; None if there is no such repo, or none that the token may see.

    Raises:
        HubProblem: if the Hub does not say, or the repo has no such revision.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def ask() -> Remote | None:
        try:
            info = api.model_info(
                asking.repo_id, revision=revision, files_metadata=True, timeout=asking.patience.timeout
            )
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None
        files = {
            item.rfilename: RemoteFile(item.size or 0, item.lfs.sha256 if item.lfs else None, item.blob_id)
            for item in info.siblings or ()
        }
        return Remote(info.sha or "", bool(info.private), files)

    return asking("looking at the repo", ask)


def changes(folder: Publishable, remote: Remote | None, earlier: frozenset[str]) -> Changes:
    """What the repo lacks of the folder.

    Args:
        earlier: the names that the repo's own report lists: what an earlier conversion put there and this one has no
            more, such as the shards of larger weights, is taken away; all else is somebody else's.
    """
    if remote is None:
        return Changes(folder.files, (), (), ())
    ours = {file.name for file in folder.files}
    there = remote.files.keys() - ours
    remove = there & earlier
    return Changes(
        tuple(file for file in folder.files if not remote.has(file)),
        tuple(sorted(remove)),
        tuple(file.name for file in folder.files if remote.has(file)),
        tuple(sorted(there - remove - _HUBS_OWN)),
    )


def earlier_files(api: HfApi, asking: Asking, remote: Remote | None) -> frozenset[str]:
    """The files that the report in the repo lists, if there is a report of ours."""
    if remote is None or REPORT_FILE not in remote.files:
        return frozenset()
    path = Path(
        asking(
            "reading the repo's own report",
            lambda: api.hf_hub_download(asking.repo_id, REPORT_FILE, revision=remote.commit),
        )
    )
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["target"]["files"]
        return frozenset(str(file["name"]) for file in listed)
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()  # a file of that name which is not ours
