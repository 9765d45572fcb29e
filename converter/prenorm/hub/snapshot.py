"""The files of a repo at one commit, downloaded whole into huggingface_hub's cache and held against their checksums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import HubProblem, UnreadableCheckpoint
from prenorm.files import or_nearest
from prenorm.hub.client import check_token, prepare_client
from prenorm.hub.publishable import PublishableFile
from prenorm.hub.remote import RemoteRepo, read_repo
from prenorm.hub.retries import Requests, RetryPolicy
from prenorm.hub.transfer import counted_in
from prenorm.progress import Progress, Silent

POLICY = RetryPolicy(attempts=3)  # of downloads, where nobody chose another


@dataclass(frozen=True)
class Snapshot:
    """The files of a repo at one commit, and the way to download them."""

    requests: Requests
    repo: RemoteRepo

    @classmethod
    def of(cls, repo_id: str, revision: str | None, policy: RetryPolicy, progress: Progress) -> Snapshot:
        """Read which commit a revision is, and what it holds.

        Args:
            repo_id: `org/name`.
            revision: branch, tag or commit; None for the main branch.
            policy: how failed requests are repeated.
            progress: receives a warning for each request that is tried again.

        Returns:
            The snapshot.

        Raises:
            HubProblem: if there is no such repo or revision, or the Hub does not answer.
        """
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
        missing = sum(self.repo.files[name].size for name in names if self.cached(name) is None)
        if missing:
            self.requests.progress.stage("Downloading", missing)
        return {name: self.download(name) for name in names}

    def cached(self, name: str) -> str | None:
        """Look a file up in huggingface_hub's cache.

        Args:
            name: the file's name in the repo.

        Returns:
            Its path; None if it is not there.
        """
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

        announced, cached = self.repo.files[name], self.cached(name)
        counted = counted_in(self.requests.progress)

        def request() -> Path:
            path = Path(hf_hub_download(self.requests.repo_id, name, revision=self.repo.commit, **counted))
            # huggingface_hub compares sizes only. What is in the cache was compared with its sum when it came.
            if str(path) != cached and not announced.has_content_of(PublishableFile.at(path, Silent())):
                path.resolve().unlink()  # a wrong file in the cache would be taken for the right one ever after
                path.unlink(missing_ok=True)
                raise Damaged
            return path

        try:
            return self.requests.repeated_once()(f"downloading {name}", request)
        except HubProblem as error:
            if not isinstance(error.__cause__, Damaged):
                raise
            raise UnreadableCheckpoint(
                f"'{name}' does not arrive as it is on the Hub: its SHA-256 differs",
                subject=self.requests.repo_id,
                advice="Check any proxy between, and run the command again",
            ) from error


class Damaged(ConnectionError):
    """What arrived is not what the Hub announced."""
