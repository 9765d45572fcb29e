"""`push`: a proven folder to the Hub in one commit, or one pull request, that is never made twice.

Every attempt begins by looking at what the repo holds, and a commit names the one that it was made for (`parent_commit`):
if an answer was lost, or somebody else committed meanwhile, the next look tells, and nothing is repeated that was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prenorm.errors import HubProblem, PrenormError, UsageProblem
from prenorm.hub.addresses import check_repo_id
from prenorm.hub.client import check_token, prepare_client
from prenorm.hub.patience import Asking, Patience
from prenorm.hub.publishable import Publishable, PublishableFile, check_folder
from prenorm.hub.pull_requests import PullRequest, PullRequests
from prenorm.hub.remote import Changes, Remote, changes, earlier_files, look
from prenorm.progress import Progress, Silent

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

_BYTES_TO_KEEP = 4 << 20  # a smaller file is sent from memory: just the bytes that were checked
_TEXTS = (".json", ".md", ".txt")


@dataclass(frozen=True)
class Pushed:
    """What a push did, or would do. `url` is that of the commit, or of the pull request."""

    repo_id: str
    revision: str
    url: str | None
    commit: str | None
    is_pull_request: bool
    created: bool
    dry_run: bool
    changes: Changes

    def to_dict(self) -> dict[str, object]:
        """For --json."""
        return {
            "repo_id": self.repo_id,
            "revision": self.revision,
            "url": self.url,
            "commit": self.commit,
            "pull_request": self.is_pull_request,
            "created": self.created,
            "dry_run": self.dry_run,
            "sent": [{"name": file.name, "bytes": file.size} for file in self.changes.send],
            "removed": list(self.changes.remove),
            "unchanged": list(self.changes.unchanged),
            "others": list(self.changes.others),
        }


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    pull_request: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    patience: Patience | None = None,
    progress: Progress | None = None,
    endpoint: str | None = None,
) -> Pushed:
    """Sends what the repo lacks of a folder that `convert` wrote.

    Args:
        repo_id: `org/name`; the repo is created if there is none.
        private: create it as a private one.
        pull_request: open a pull request instead of committing to the branch.
        revision: the branch, which is created if there is none; the main branch if None.
        message: the commit's title.
        dry_run: look, and change nothing.
        patience: how often things are tried.
        endpoint: another Hub; by default that of HF_ENDPOINT.

    Raises:
        UsageProblem: if the folder has no report, or the options do not go together.
        NotProven: if the folder is not proven, or not what was proven.
        HubProblem: if the Hub refuses, or does not answer often enough.
    """
    watch = progress or Silent()
    if pull_request and revision is not None:
        raise UsageProblem(
            "a pull request is always against the main branch", subject="--revision", advice="Leave one out"
        )
    content = check_folder(Path(folder), watch)
    asking = Asking(repo_id, patience or Patience(), watch)
    sending = _Sending(asking, content, message or _title(content), endpoint)
    return sending.run(private=private, pull_request=pull_request, revision=revision, dry_run=dry_run)


def check_push(repo_id: str, *, needs_token: bool = True) -> None:
    """What can be told before there is a folder.

    Raises:
        UsageProblem: if `repo_id` is none.
        HubProblem: if no token is given, or none that can be sent.
    """
    check_repo_id(repo_id)
    check_token(repo_id, needed=needs_token)


def _title(content: Publishable) -> str:
    environment = content.report.get("environment")
    version = environment.get("prenorm", "") if isinstance(environment, dict) else ""
    return f"Model converted and proven by prenorm {version}".strip()


class _Sending:
    """One push."""

    def __init__(self, asking: Asking, content: Publishable, title: str, endpoint: str | None) -> None:
        from huggingface_hub import HfApi

        prepare_client(asking.patience.timeout, repeats=False)
        self._api: HfApi = HfApi(endpoint=endpoint)
        self._asking, self._content, self._title = asking, content, title
        self._watch, self._repo_id = asking.watch, asking.repo_id
        self._additions: dict[str, CommitOperationAdd] = {}
        self._pull_requests = PullRequests(self._api, asking, content, title)
        self._is_pull_request = False
        self._lacks_branch = False
        self._revision: str | None = None
        self._created = False

    def run(self, *, private: bool, pull_request: bool, revision: str | None, dry_run: bool) -> Pushed:
        """See `push`."""
        self._is_pull_request, self._revision = pull_request, revision
        check_push(self._repo_id, needs_token=not dry_run)
        remote = self._look()
        if remote is not None and private and not remote.private:
            raise UsageProblem(
                "the repo is there already, and it is public", subject=self._repo_id, advice="Leave --private out"
            )
        if dry_run:
            found = self._changes(remote)
            return self._result(found, remote.commit if remote else None, None, dry_run=True)
        if remote is None:
            remote = self._create(private)
        return self._send(remote)

    def _look(self) -> Remote | None:
        """The repo at the revision; a branch that is not there is made by `_create_branch` before anything is sent."""
        try:
            return look(self._api, self._asking, self._revision)
        except HubProblem as error:
            from huggingface_hub.errors import RevisionNotFoundError

            if isinstance(error.__cause__, RevisionNotFoundError) and self._revision is not None:
                self._lacks_branch = True
                return look(self._api, self._asking, None)
            raise

    def _create(self, private: bool) -> Remote:
        """Creates the repo; that it is there already is as good, as when the answer to the first try was lost."""
        self._asking("creating the repo", lambda: self._api.create_repo(self._repo_id, private=private, exist_ok=True))
        self._created = True
        remote = look(self._api, self._asking, None)
        if remote is None:
            raise HubProblem("was created, and is not there", subject=self._repo_id, advice="Run the command again")
        return remote

    def _send(self, remote: Remote) -> Pushed:
        """Commits what is lacking, and looks again until it is there."""
        planned = found = self._changes(remote)
        attempt = 1
        while found:
            done = self._pull_requests.find() if self._is_pull_request else None
            if done is not None:
                return self._opened(done, _nothing(self._content) if attempt == 1 else planned)
            self._create_branch()
            self._upload(found)
            try:
                return self._commit(remote, found)
            except PrenormError:
                raise
            except Exception as error:
                attempt += 1
                lost = self._pull_requests.find_after(error) if self._is_pull_request else None
                if lost is not None:
                    return self._opened(lost, planned)
                self._asking.wait_or_fail(error, "committing", attempt)
            remote = self._look() or remote
            found = self._changes(remote)
        # Nothing is lacking: from the start, or since the commit whose answer was lost.
        self._create_branch()
        return self._result(planned if attempt > 1 else found, remote.commit, self._commit_url(remote.commit))

    def _changes(self, remote: Remote | None) -> Changes:
        return changes(self._content, remote, earlier_files(self._api, self._asking, remote))

    def _create_branch(self) -> None:
        branch = self._revision
        if branch is not None and (self._lacks_branch or self._created) and not branch.startswith("refs/"):
            self._asking(
                "creating the branch", lambda: self._api.create_branch(self._repo_id, branch=branch, exist_ok=True)
            )
            self._lacks_branch = False

    def _upload(self, found: Changes) -> None:
        """Sends the large files, which the commit then names. What was sent stays sent, whatever happens next."""
        self._watch.stage("Uploading", sum(file.size for file in found.send))
        for files in _batches(found.send):
            additions = [self._addition(file.name) for file in files]
            self._asking(
                f"uploading {files[0].name}" if len(files) == 1 else "uploading",
                lambda additions=additions: self._api.preupload_lfs_files(  # type: ignore[misc]
                    self._repo_id, additions, revision=self._revision, create_pr=self._is_pull_request,
                    free_memory=False,
                ),
            )  # fmt: skip
            self._watch.advance(sum(file.size for file in files))

    def _addition(self, name: str) -> CommitOperationAdd:
        from huggingface_hub import CommitOperationAdd

        if name not in self._additions:
            file = next(item for item in self._content.files if item.name == name)
            small = file.size <= _BYTES_TO_KEEP
            made = CommitOperationAdd(name, file.path.read_bytes() if small else file.path)
            if made.upload_info.sha256.hex() != file.sha256:
                raise UsageProblem("changed while it was being sent", subject=file.path, advice="Run the command again")
            self._additions[name] = made
        return self._additions[name]

    def _commit(self, remote: Remote, found: Changes) -> Pushed:
        """One commit, asked for once: `_send` decides what a failure means."""
        from huggingface_hub import CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            self._addition(file.name) for file in found.send
        ]
        operations += [CommitOperationDelete(name) for name in found.remove]
        info = self._api.create_commit(
            self._repo_id, operations, commit_message=self._title, commit_description=_description(self._content),
            revision=self._revision, create_pr=self._is_pull_request, parent_commit=remote.commit,
        )  # fmt: skip
        at = f"refs/pr/{info.pr_num}" if self._is_pull_request else info.oid
        self._check_arrival(at)
        url = info.pr_url if self._is_pull_request else self._commit_url(info.oid)
        return self._result(found, info.oid, url)

    def _check_arrival(self, revision: str) -> None:
        """What is on the Hub must be what was proven, file by file."""
        there = look(self._api, self._asking, revision)
        wrong = [file.name for file in self._content.files if there is None or not there.has(file)]
        if wrong:
            raise HubProblem(
                f"the Hub holds other content than was sent for {', '.join(wrong)}",
                subject=self._repo_id,
                advice="Look whether a .gitignore in the repo leaves it out",
            )

    def _opened(self, found: PullRequest, done: Changes) -> Pushed:
        return self._result(done, found.commit, found.url)

    def _commit_url(self, commit: str) -> str:
        return f"{self._api.endpoint}/{self._repo_id}/commit/{commit}"

    def _result(self, found: Changes, commit: str | None, url: str | None, *, dry_run: bool = False) -> Pushed:
        revision = self._revision or "main"
        return Pushed(
            self._repo_id, revision, url, commit, self._is_pull_request, self._created, dry_run, found
        )  # fmt: skip


def _batches(files: tuple[PublishableFile, ...]) -> list[list[PublishableFile]]:
    """The texts together, everything else by itself: the client sends several large files in threads, which would be waited
    for by an interruption, and tells of none.
    """
    texts = [file for file in files if file.name.endswith(_TEXTS) and file.size <= _BYTES_TO_KEEP]
    return [*([texts] if texts else []), *([file] for file in files if file not in texts)]


def _nothing(content: Publishable) -> Changes:
    """All of it is there."""
    return Changes((), (), tuple(file.name for file in content.files), ())


def _description(content: Publishable) -> str:
    """What the commit says beneath its title: where the proof is, and of which checkpoint."""
    source = content.report.get("source")
    sha256 = source.get("sha256") if isinstance(source, dict) else None
    return f"All numbers are in parity_report.json. SHA-256 of the checkpoint: {sha256}."
