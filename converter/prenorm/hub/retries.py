"""Temporary failures are retried with back-off: a bounded number of times, and after a longer wait where the Hub asks for it.

huggingface_hub has a back-off of its own (`http_backoff`), which repeats whatever the request was, silently, and without a
bound on the wait that a server asks for. A push must look at the repo before it commits again, and say what it waits for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from prenorm.hub.problems import causes, is_temporary, retry_after, summary, to_problem
from prenorm.progress import Progress

_T = TypeVar("_T")
_GROWTH = 2.0
# A Hub that asks for a longer wait than this is reported to the user instead, who may have better to do.
_LONGEST_WAIT = 120.0


@dataclass(frozen=True)
class RetryPolicy:
    """How failed requests are repeated.

    Attributes:
        attempts: how often one request is made at most.
        first_wait: seconds before the second attempt; each further wait is twice as long.
        timeout: seconds that the server may be silent in the middle of a request.
    """

    attempts: int = 5
    first_wait: float = 1.0
    timeout: float = 120.0

    def wait_before(self, attempt: int, error: Exception) -> float | None:
        """Return how long to wait before the next attempt.

        Args:
            attempt: the number of the next attempt, from 2.
            error: what ended the last one.

        Returns:
            Seconds, or None if there must not be another attempt.
        """
        if attempt > self.attempts or not is_temporary(error):
            return None
        wait = max(self.first_wait * _GROWTH ** (attempt - 2), retry_after(error) or 0.0)
        return wait if wait <= _LONGEST_WAIT else None


@dataclass(frozen=True)
class Requests:
    """Makes requests about one repo, and repeats those that fail for a temporary reason, with a warning for each."""

    repo_id: str
    policy: RetryPolicy
    progress: Progress

    def repeated_once(self) -> Requests:
        """Return the same, with at most one repetition: for requests that huggingface_hub repeats by itself.

        Returns:
            Requests of the same policy otherwise.
        """
        return replace(self, policy=replace(self.policy, attempts=min(2, self.policy.attempts)))

    def __call__(self, action: str, request: Callable[[], _T]) -> _T:
        """Make a request that is safe to repeat.

        Args:
            action: what it does, for messages, as in "creating the repo".
            request: makes it.

        Returns:
            The answer.

        Raises:
            HubProblem: if it fails for a lasting reason, or too often.
            OSError: if a local file cannot be read.
        """
        attempt = 1
        while True:
            try:
                return request()
            except Exception as error:  # noqa: PERF203 - to repeat the request is what this loop is for
                attempt += 1
                self.wait_or_fail(error, action, attempt)

    def wait_or_fail(self, error: Exception, action: str, attempt: int) -> None:
        """Wait before the next attempt.

        Args:
            error: what ended the last one.
            action: what the request does, for messages.
            attempt: the number of the next attempt, from 2.

        Raises:
            HubProblem: if there must not be another one.
            OSError: if a local file could not be read.
        """
        wait = self.policy.wait_before(attempt, error)
        if wait is None:
            local = next((one for one in causes(error) if isinstance(one, OSError) and one.filename is not None), None)
            if local is not None:
                raise local
            raise to_problem(error, self.repo_id, action, attempt - 1) from error
        self.progress.warn(
            f"{action}: {summary(error)}; again in {wait:.3g} s (try {attempt} of {self.policy.attempts})"
        )
        time.sleep(wait)
