"""Pull requests that a push may have opened.

A pull request is opened by one request that cannot name the commit it expects, so that before it is repeated, the repo's
pull requests are searched for the one that a lost answer may have been about.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prenorm.errors import HubProblem
from prenorm.hub.client import Unanswered
from prenorm.hub.problems import causes, is_timeout, status_of
from prenorm.hub.publishable import Publishable
from prenorm.hub.remote import read_repo
from prenorm.hub.retries import Requests

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SEARCHES_AFTER_A_LOST_ANSWER = 3
_TIMEOUTS_TO_SEARCH = 2
_UNKNOWN_OUTCOMES = (None, 500, 502, 504)  # no answer, or that of a gateway which got none


@dataclass(frozen=True)
class PullRequest:
    """An open pull request that holds the folder."""

    commit: str
    url: str


@dataclass(frozen=True)
class PullRequests:
    """The pull requests of a repo that a push of `content` under `title` may have opened."""

    api: HfApi
    requests: Requests
    content: Publishable
    title: str

    def find(self) -> PullRequest | None:
        """Search for the pull request of an earlier push, whose answer may have been lost.

        Returns:
            An open one that has the title and holds just this folder; None if there is none.

        Raises:
            HubProblem: if the Hub does not list them.
        """
        listed: list[Any] = self.requests(
            "looking for its pull request",
            lambda: list(
                self.api.get_repo_discussions(
                    self.requests.repo_id, discussion_type="pull_request", discussion_status="open"
                )
            ),
        )
        for pull in listed:
            if pull.title != self.title:
                continue
            repo = read_repo(self.api, self.requests, f"refs/pr/{pull.num}")
            if repo is not None and all(repo.has(file) for file in self.content.files):
                return PullRequest(repo.commit, f"{self._url()}/{pull.num}")
        return None

    def find_after(self, error: Exception) -> PullRequest | None:
        """Search after a failure that leaves open whether the pull request was opened.

        Args:
            error: what the request raised.

        Returns:
            The pull request; None if the failure shows that there is none, or it was not found.

        Raises:
            HubProblem: if no answer came in time, and it is not there for long: it may still come, and another request
                could open a second one.
        """
        if status_of(error) not in _UNKNOWN_OUTCOMES or not _is_of_the_commit(error):
            return None
        for wait in self._waits(is_timeout(error)):
            time.sleep(wait)
            pull_request = self.find()
            if pull_request is not None:
                return pull_request
        if is_timeout(error):
            raise HubProblem(
                "the Hub did not say in time whether it opened the pull request, and so far there is none",
                subject=self.requests.repo_id,
                advice=f"Look at {self._url()} in some minutes, and then run the command again: it opens no second one",
            ) from error
        return None

    def _waits(self, timed_out: bool) -> Iterator[float]:
        """Yield the seconds before each search: growing, and after a timeout until the Hub must have ended its work."""
        wait, waited = self.requests.policy.first_wait, 0.0
        least = self.requests.policy.timeout * _TIMEOUTS_TO_SEARCH if timed_out else 0.0
        number = 0
        while number < _SEARCHES_AFTER_A_LOST_ANSWER or waited < least:
            yield wait
            number, waited = number + 1, waited + wait
            wait = min(wait * 2, max(self.requests.policy.first_wait, self.requests.policy.timeout / 8))

    def _url(self) -> str:
        return f"{self.api.endpoint}/{self.requests.repo_id}/discussions"


def _is_of_the_commit(error: Exception) -> bool:
    """Return whether the commit's own request failed, and not one of those that huggingface_hub makes before it."""
    paths = [one.path for one in causes(error) if isinstance(one, Unanswered)]
    return not paths or "/commit/" in paths[0]
