"""A pull request is opened by one request that cannot name what it expects, so before it is asked for again, one looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prenorm.errors import HubProblem
from prenorm.hub.client import Unanswered
from prenorm.hub.patience import Asking
from prenorm.hub.problems import chain, is_timeout, status_of
from prenorm.hub.publishable import Publishable
from prenorm.hub.remote import look

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LOOKS_FOR_A_LOST_ANSWER = 3
_TIMEOUTS_TO_LOOK = 2
_UNKNOWN_OUTCOMES = (None, 500, 502, 504)  # no answer, or that of a gateway which got none


@dataclass(frozen=True)
class PullRequest:
    """An open one that holds the folder."""

    num: int
    commit: str
    url: str


@dataclass(frozen=True)
class PullRequests:
    """Those of a repo that a push of `content` under `title` may have opened."""

    api: HfApi
    asking: Asking
    content: Publishable
    title: str

    def find(self) -> PullRequest | None:
        """An open one by our title that holds just this folder: an earlier push's, whose answer may be lost."""
        listed: list[Any] = self.asking(
            "looking for its pull request",
            lambda: list(
                self.api.get_repo_discussions(
                    self.asking.repo_id, discussion_type="pull_request", discussion_status="open"
                )
            ),
        )
        for pull in listed:
            if pull.title != self.title:
                continue
            there = look(self.api, self.asking, f"refs/pr/{pull.num}")
            if there is not None and all(there.has(file) for file in self.content.files):
                return PullRequest(pull.num, there.commit, f"{self._url()}/{pull.num}")
        return None

    def find_after(self, error: Exception) -> PullRequest | None:
        """Looked for after a failure that leaves open whether it was opened.

        Raises:
            HubProblem: if nobody answered in time, and it is not there for long: it may still come, and asking once more
                could make two.
        """
        if status_of(error) not in _UNKNOWN_OUTCOMES or not _is_of_the_commit(error):
            return None
        for wait in self._waits(is_timeout(error)):
            time.sleep(wait)
            found = self.find()
            if found is not None:
                return found
        if is_timeout(error):
            raise HubProblem(
                "the Hub did not say in time whether it opened the pull request, and so far there is none",
                subject=self.asking.repo_id,
                advice=f"Look at {self._url()} in some minutes, and then run the command again: it opens no second one",
            ) from error
        return None

    def _waits(self, timed_out: bool) -> Iterator[float]:
        """Seconds between the looks: growing, and after a timeout as long as to be sure that nobody works on it."""
        wait, waited = self.asking.patience.first_wait, 0.0
        least = self.asking.patience.timeout * _TIMEOUTS_TO_LOOK if timed_out else 0.0
        number = 0
        while number < _LOOKS_FOR_A_LOST_ANSWER or waited < least:
            yield wait
            number, waited = number + 1, waited + wait
            wait = min(wait * 2, max(self.asking.patience.first_wait, self.asking.patience.timeout / 8))

    def _url(self) -> str:
        return f"{self.api.endpoint}/{self.asking.repo_id}/discussions"


def _is_of_the_commit(error: Exception) -> bool:
    """Whether it was the commit's own request, and not one of those that the client makes before it."""
    paths = [one.path for one in chain(error) if isinstance(one, Unanswered)]
    return not paths or "/commit/" in paths[0]
