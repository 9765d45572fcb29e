"""What is kept of checkpoints that are read by ranges: files with holes, below huggingface_hub's folder for such things.

    HF_HOME/assets/prenorm/checkpoints/org--name-1a2b3c4d/    of one repo on one server
        blobs/<sha256>, blobs/<sha256>.json                   files with holes (`sparse`)
        snapshots/<commit>/run/checkpoint_best.pt             a link to its blob; links to what lies beside it
        listings/<revision>.json                              what the repo held when it was last asked

Blobs that have not been of use for 30 days are removed by the next run; the folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from prenorm.files import json_object
from prenorm.hub.remote import RemoteFile, RemoteRepo
from prenorm.hub.sparse import SparseFile, remove_unused

_DAYS_UNUSED = 30.0
_MAIN = "main"


class RepoStore:
    """What is kept of one repo."""

    def __init__(self, repo_id: str) -> None:
        """Choose the folder; it is made when something is put there.

        Args:
            repo_id: `org/name`.
        """
        from huggingface_hub import constants

        server = hashlib.sha256(constants.ENDPOINT.encode()).hexdigest()[:8]
        assets = Path(constants.HF_ASSETS_CACHE).expanduser() / "prenorm" / "checkpoints"
        self.folder = assets / f"{repo_id.replace('/', '--')}-{server}"

    def blob(self, sha256: str, size: int) -> SparseFile:
        """Open the local file of a remote one; those of no use for long are removed first.

        Args:
            sha256: what the Hub says of the remote file.
            size: its bytes.

        Returns:
            The file with what is there of it.

        Raises:
            OSError: if the system cannot make such a file.
        """
        for folder in self.folder.parent.glob("*/blobs"):
            remove_unused(folder, time.time() - _DAYS_UNUSED * 86400)
        return SparseFile(self.folder / "blobs" / sha256, size)

    def link(self, commit: str, name: str, target: Path) -> Path:
        """Give a file its name and its place beside others of the commit.

        Args:
            commit: of the repo.
            name: the file's name in the repo.
            target: the file, in this cache or in huggingface_hub's.

        Returns:
            The link.

        Raises:
            OSError: if it cannot be made.
        """
        place = self.folder / "snapshots" / commit / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or not place.samefile(target):
            made = place.with_name(f".{place.name}.{os.getpid()}")
            made.unlink(missing_ok=True)
            made.symlink_to(target.resolve())
            made.replace(place)
        return place

    def remember(self, revision: str | None, repo: RemoteRepo) -> None:
        """Keep what a repo holds, for runs that may not ask.

        Args:
            revision: that was asked for; None for the main branch.
            repo: the repo at the commit that it stands for.
        """
        content = json.dumps(asdict(repo))
        with suppress(OSError):  # nothing needs it now
            for name in {revision or _MAIN, repo.commit}:
                place = self._listing(name)
                place.parent.mkdir(parents=True, exist_ok=True)
                made = place.with_name(f"{place.name}.{os.getpid()}")
                made.write_text(content, encoding="utf-8")
                made.replace(place)

    def recall(self, revision: str | None) -> RemoteRepo | None:
        """Return what a repo held when it was last asked.

        Args:
            revision: branch, tag or commit; None for the main branch.

        Returns:
            The repo; None if it was never asked for this revision.
        """
        content = json_object(self._listing(revision or _MAIN)) or {}
        try:
            return RemoteRepo(
                content["commit"],
                content["private"],
                {name: RemoteFile(**file) for name, file in content["files"].items()},
            )
        except (KeyError, TypeError, AttributeError):
            return None

    def _listing(self, revision: str) -> Path:
        return self.folder / "listings" / f"{quote(revision, safe='')}.json"
