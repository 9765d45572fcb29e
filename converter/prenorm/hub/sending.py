"""One push: uploads, the commit, and what decides whether a failed commit was made all the same.

Every attempt begins by looking at what the repo holds, and a commit names the one that it was made for (`parent_commit`):
if an answer was lost, or somebody else committed meanwhile, the next look shows it, and nothing is repeated that was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prenorm.errors import HubProblem, PrenormError, UsageProblem
from prenorm.hub.client import prepare_client
from prenorm.hub.publishable import Publishable, PublishableFile
from prenorm.hub.pull_requests import PullRequests
from prenorm.hub.remote import Changes, RemoteRepo, changes_between, earlier_files, read_repo
from prenorm.hub.retries import Requests
from prenorm.options.spoken import spoken

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

_LARGEST_IN_MEMORY = 4 << 20  # bytes; a smaller file is sent from memory: just the bytes that were checked
_TEXT_SUFFIXES = (".json", ".md", ".txt")


@dataclass(frozen=True)
class Destination:
    """Where in a repo a push goes.

    Attributes:
        revision: the branch, which is created if there is none; None for the main branch.
        private: whether the repo, if it is created, is private.
        is_pull_request: whether a pull request is opened instead of committing to the branch.
        endpoint: another Hub than that of HF_ENDPOINT.
    """

    revision: str | None = None
    private: bool = False
    is_pull_request: bool = False
    endpoint: str | None = None


@dataclass(frozen=True)
class Sent:
    """The end of a push: the changes that were made, or would be, and where they are."""

    changes: Changes
    commit: str | None
    url: str | None


class Sending:
    """One push of a folder. `created` says whether the repo was created for it."""

    def __init__(
        self, requests: Requests, content: Publishable, destination: Destination, title: str | None = None
    ) -> None:
        """Prepare the client; nothing is asked yet.

        Args:
            requests: makes the requests about the repo.
            content: the proven folder.
            destination: where it goes.
            title: the commit's; by default it names prenorm.
        """
        from huggingface_hub import HfApi

        prepare_client(requests.policy.timeout, repeats=False)
        self._api = HfApi(endpoint=destination.endpoint)
        self._requests, self._content, self._destination = requests, content, destination
        self._title = title or _title(content)
        self._repo_id, self._progress = requests.repo_id, requests.progress
        self._additions: dict[str, CommitOperationAdd] = {}
        self._pull_requests = PullRequests(self._api, requests, content, self._title)
        self._lacks_branch = False
        self.created = False

    def compare(self) -> Sent:
        """Look what a push would do.

        Returns:
            The changes, and the repo's present commit.

        Raises:
            UsageProblem: if the repo is public, and a private one is wanted.
            HubProblem: if the Hub refuses, or does not answer often enough.
        """
        repo = self._look_first()
        return Sent(self._changes(repo), repo.commit if repo else None, None)

    def send(self) -> Sent:
        """Commit what is lacking, and look again until it is there.

        Returns:
            What was changed, and the commit or pull request.

        Raises:
            UsageProblem: if the repo is public, and a private one is wanted; or a file changes meanwhile.
            HubProblem: if the Hub refuses, or does not answer often enough.
        """
        repo = self._look_first() or self._create()
        planned = changes = self._changes(repo)
        attempt = 1
        while changes:
            opened = self._pull_requests.find() if self._destination.is_pull_request else None
            if opened is not None:
                return Sent(_nothing(self._content) if attempt == 1 else planned, opened.commit, opened.url)
            self._create_branch()
            self._upload(changes)
            try:
                return self._commit(repo, changes)
            except PrenormError:
                raise
            except Exception as error:
                attempt += 1
                opened = self._pull_requests.find_after(error) if self._destination.is_pull_request else None
                if opened is not None:
                    return Sent(planned, opened.commit, opened.url)
                self._requests.wait_or_fail(error, "committing", attempt)
            repo = self._look() or repo
            changes = self._changes(repo)
        # Nothing is lacking: from the start, or since the commit whose answer was lost.
        self._create_branch()
        return Sent(planned if attempt > 1 else changes, repo.commit, self._commit_url(repo.commit))

    def _look_first(self) -> RemoteRepo | None:
        """Read the repo, and refuse a public one where a private one is wanted."""
        repo = self._look()
        if repo is not None and self._destination.private and not repo.private:
            raise UsageProblem(
                "the repo is there already, and it is public",
                subject=self._repo_id,
                advice=f"Leave {spoken('private')} out",
            )
        return repo

    def _look(self) -> RemoteRepo | None:
        """Read the repo at the revision; if it lacks the branch, at the main one, from which the branch is created."""
        try:
            return read_repo(self._api, self._requests, self._destination.revision)
        except HubProblem as error:
            from huggingface_hub.errors import RevisionNotFoundError

            if isinstance(error.__cause__, RevisionNotFoundError) and self._destination.revision is not None:
                self._lacks_branch = True
                return read_repo(self._api, self._requests, None)
            raise

    def _create(self) -> RemoteRepo:
        """Create the repo. It may be there already, as when the answer to the first attempt was lost."""
        private = self._destination.private
        self._requests(
            "creating the repo", lambda: self._api.create_repo(self._repo_id, private=private, exist_ok=True)
        )
        self.created = True
        repo = read_repo(self._api, self._requests, None)
        if repo is None:
            raise HubProblem("was created, and is not there", subject=self._repo_id, advice="Run the command again")
        return repo

    def _changes(self, repo: RemoteRepo | None) -> Changes:
        """Compare the folder with the repo."""
        return changes_between(self._content, repo, earlier_files(self._api, self._requests, repo))

    def _create_branch(self) -> None:
        """Create the branch if the repo lacks it."""
        branch = self._destination.revision
        if branch is not None and (self._lacks_branch or self.created) and not branch.startswith("refs/"):
            self._requests(
                "creating the branch", lambda: self._api.create_branch(self._repo_id, branch=branch, exist_ok=True)
            )
            self._lacks_branch = False

    def _upload(self, changes: Changes) -> None:
        """Send the large files, which the commit then names. What was sent stays sent, whatever happens next."""
        self._progress.stage("Uploading", sum(file.size for file in changes.send))
        for files in _batches(changes.send):
            additions = [self._addition(file.name) for file in files]
            self._requests(
                f"uploading {files[0].name}" if len(files) == 1 else "uploading",
                lambda additions=additions: self._api.preupload_lfs_files(  # type: ignore[misc]
                    self._repo_id, additions, revision=self._destination.revision,
                    create_pr=self._destination.is_pull_request, free_memory=False,
                ),
            )  # fmt: skip
            self._progress.advance(sum(file.size for file in files))

    def _addition(self, name: str) -> CommitOperationAdd:
        """Return what huggingface_hub needs to send a file, made once."""
        from huggingface_hub import CommitOperationAdd

        if name not in self._additions:
            file = next(item for item in self._content.files if item.name == name)
            on_disk = file.path.read_bytes() if file.size <= _LARGEST_IN_MEMORY else file.path
            addition = CommitOperationAdd(name, on_disk if file.content is None else file.content)
            if addition.upload_info.sha256.hex() != file.sha256:
                raise UsageProblem("changed while it was being sent", subject=file.path, advice="Run the command again")
            self._additions[name] = addition
        return self._additions[name]

    def _commit(self, repo: RemoteRepo, changes: Changes) -> Sent:
        """Ask for one commit, once: `send` decides what a failure means."""
        from huggingface_hub import CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            self._addition(file.name) for file in changes.send
        ]
        operations += [CommitOperationDelete(name) for name in changes.remove]
        as_pull_request = self._destination.is_pull_request
        info = self._api.create_commit(
            self._repo_id, operations, commit_message=self._title, commit_description=_description(self._content),
            revision=self._destination.revision, create_pr=as_pull_request, parent_commit=repo.commit,
        )  # fmt: skip
        self._check_arrival(f"refs/pr/{info.pr_num}" if as_pull_request else info.oid)
        return Sent(changes, info.oid, info.pr_url if as_pull_request else self._commit_url(info.oid))

    def _check_arrival(self, revision: str) -> None:
        """Compare what is on the Hub with what was proven, file by file."""
        repo = read_repo(self._api, self._requests, revision)
        wrong = [file.name for file in self._content.files if repo is None or not repo.has(file)]
        if wrong:
            raise HubProblem(
                f"the Hub holds other content than was sent for {', '.join(wrong)}",
                subject=self._repo_id,
                advice="Look whether a .gitignore in the repo leaves it out",
            )

    def _commit_url(self, commit: str) -> str:
        return f"{self._api.endpoint}/{self._repo_id}/commit/{commit}"


def _batches(files: tuple[PublishableFile, ...]) -> list[list[PublishableFile]]:
    """Group files for upload: small texts together, everything else by itself."""
    # huggingface_hub sends several large files in threads, which an interruption would wait for, and shows none of them.
    texts = [file for file in files if file.name.endswith(_TEXT_SUFFIXES) and file.size <= _LARGEST_IN_MEMORY]
    return [*([texts] if texts else []), *([file] for file in files if file not in texts)]


def _nothing(content: Publishable) -> Changes:
    """Return the changes of a push that finds everything there."""
    return Changes((), (), tuple(file.name for file in content.files), ())


def _title(content: Publishable) -> str:
    """Return the commit's title."""
    environment = content.report.get("environment")
    version = environment.get("prenorm", "") if isinstance(environment, dict) else ""
    return f"Model converted and proven by prenorm {version}".strip()


def _description(content: Publishable) -> str:
    """Return what the commit says beneath its title: where the proof is, and of which checkpoint."""
    source = content.report.get("source")
    sha256 = source.get("sha256") if isinstance(source, dict) else None
    return f"All numbers are in parity_report.json. SHA-256 of the checkpoint: {sha256}."
