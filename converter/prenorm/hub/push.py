"""`push`: a proven folder to the Hub in one commit, or one pull request, that is never made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.hub.addresses import check_repo_id
from prenorm.hub.client import check_token
from prenorm.hub.publishable import Publishable, check_folder
from prenorm.hub.remote import Changes
from prenorm.hub.retries import Requests, RetryPolicy
from prenorm.hub.sending import Destination, Sending
from prenorm.options.spoken import spoken
from prenorm.progress import Progress, Silent


@dataclass(frozen=True)
class Pushed:
    """What a push did, or would do.

    Attributes:
        repo_id: `org/name`.
        revision: the branch.
        url: of the commit, or of the pull request; None if nothing was sent and nothing was there.
        commit: the repo's commit after the push.
        is_pull_request: whether a pull request was opened.
        created: whether the repo was created.
        dry_run: whether nothing was sent on purpose.
        changes: which files were sent, removed, and left as they were.
        adapted: names of files whose copy on the Hub differs from the folder's: the card names the repo.
        notes: what the user should know of what was sent.
    """

    repo_id: str
    revision: str
    url: str | None
    commit: str | None
    is_pull_request: bool
    created: bool
    dry_run: bool
    changes: Changes
    adapted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        done = "to send" if self.dry_run else "sent"
        place = f", {self.url}" if self.url else ""
        return f"<Pushed to {self.repo_id}, {self.revision}: {len(self.changes.send)} files {done}{place}>"

    def to_dict(self) -> dict[str, object]:
        """Return the result as plain values.

        Returns:
            The document that `--json` prints.
        """
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
            "adapted": list(self.adapted),
            "notes": list(self.notes),
        }


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    pull_request: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
    endpoint: str | None = None,
    adapt: Callable[[Publishable, str], Publishable] | None = None,
) -> Pushed:
    """Send what a repo lacks of a folder that `convert` wrote.

    Args:
        folder: the folder.
        repo_id: `org/name`; the repo is created if there is none.
        private: create it as a private one.
        pull_request: open a pull request instead of committing to the branch.
        revision: the branch, which is created if there is none; None for the main branch.
        message: the commit's title.
        dry_run: look, and change nothing.
        policy: how failed requests are repeated.
        progress: receives the stages, and a warning for each repeated request.
        endpoint: another Hub; by default that of HF_ENDPOINT.
        adapt: makes of the folder's content what is sent to `repo_id`; the folder itself is never changed.

    Returns:
        What was done.

    Raises:
        UsageProblem: if the folder has no report, or the options do not go together.
        NotProven: if the folder is not proven, or not what was proven.
        HubProblem: if the Hub refuses, or does not answer often enough.
    """
    progress = progress or Silent()
    if pull_request and revision is not None:
        raise UsageProblem(
            "a pull request is always against the main branch", subject=spoken("revision"), advice="Leave one out"
        )
    content = check_folder(Path(folder), progress)
    check_push(repo_id, needs_token=not dry_run)
    if adapt is not None:
        content = adapt(content, repo_id)
    for note in content.notes:
        progress.warn(note)
    destination = Destination(revision, private, pull_request, endpoint)
    sending = Sending(Requests(repo_id, policy or RetryPolicy(), progress), content, destination, message)
    sent = sending.compare() if dry_run else sending.send()
    return Pushed(
        repo_id, revision or "main", sent.url, sent.commit, pull_request, sending.created, dry_run, sent.changes,
        content.adapted, content.notes,
    )  # fmt: skip


def check_push(repo_id: str, *, needs_token: bool = True) -> None:
    """Check what can be known of a push before there is a folder.

    Args:
        repo_id: where it is to go.
        needs_token: whether there must be a token.

    Raises:
        UsageProblem: if `repo_id` is not one.
        HubProblem: if no token is given, or none that can be sent.
    """
    check_repo_id(repo_id)
    check_token(repo_id, needed=needs_token)
