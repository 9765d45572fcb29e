"""`push`: a proven folder to the Hub."""

from __future__ import annotations

from prenorm.commands.keywords import with_keywords
from prenorm.hub.patience import Patience
from prenorm.hub.push import Pushed
from prenorm.hub.push import push as push_folder
from prenorm.options import PushOptions


@with_keywords(PushOptions)
def push(options: PushOptions) -> Pushed:
    """Send to a repo of the Hub what it lacks of a folder, in one commit or one pull request, which is never made twice.

    Args:
        options: the arguments and keywords.

    Returns:
        What was sent, or would be, and where it is now.

    Raises:
        UsageProblem: if the folder has no report, or the options do not go together.
        NotProven: if the folder is not proven, or not what was proven.
        HubProblem: if the Hub refuses, or does not answer often enough.
    """
    return push_folder(
        options.folder, options.repo_id, private=options.private, pull_request=options.pull_request,
        revision=options.revision, message=options.message, dry_run=options.dry_run,
        patience=Patience(attempts=options.retries + 1, timeout=options.timeout), progress=options.progress,
    )  # fmt: skip
