"""`push`: a proven folder to the Hub."""

from __future__ import annotations

from pathlib import Path

from prenorm.commands.keywords import with_keywords
from prenorm.commands.opening import retry_policy
from prenorm.folder.card.address import addressed_to
from prenorm.folder.staging import check_not_set_aside
from prenorm.hub import Pushed, RetryPolicy, push_folder
from prenorm.options import PushOptions


@with_keywords(PushOptions)
def push(options: PushOptions) -> Pushed:
    """Send to a repo of the Hub what it lacks of a folder, in one commit or one pull request, which is never made twice.

    The card that is sent names the repo in its title, its code and its commands; the folder stays as it is.

    Args:
        options: the arguments and keywords.

    Returns:
        What was sent, or would be, and where it is now.

    Raises:
        UsageProblem: if the folder has no report, a killed run left it set aside, or the options do not go together.
        NotProven: if the folder is not proven, or not what was proven.
        HubProblem: if the Hub refuses, or does not answer often enough.
    """
    check_not_set_aside(Path(options.folder))
    return push_folder(
        options.folder, options.repo_id, private=options.private, pull_request=options.pull_request,
        revision=options.revision, message=options.message, dry_run=options.dry_run,
        policy=retry_policy(options, RetryPolicy()), progress=options.progress,
        adapt=addressed_to,
    )  # fmt: skip
