"""Trying again: a bounded number of times, with growing waits, longer where the Hub asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from prenorm.hub.problems import as_problem, chain, in_short, may_pass, retry_after
from prenorm.progress import Progress

_T = TypeVar("_T")
_GROWTH = 2.0
# A Hub that asks for a longer wait than this is told to the user, who may have better to do.
_LONGEST_WAIT = 120.0


@dataclass(frozen=True)
class Patience:
    """How often one thing is tried, how long the first wait is, and how long no byte may come, both in seconds."""

    attempts: int = 5
    first_wait: float = 1.0
    timeout: float = 120.0

    def wait_before(self, attempt: int, error: Exception) -> float | None:
        """Seconds before the `attempt`-th try (from 2) after `error`; None if it is not worth trying, or not allowed."""
        if attempt > self.attempts or not may_pass(error):
            return None
        wanted = max(self.first_wait * _GROWTH ** (attempt - 2), retry_after(error) or 0.0)
        return wanted if wanted <= _LONGEST_WAIT else None


@dataclass(frozen=True)
class Asking:
    """Requests about one repo, each tried as often as the patience allows; what goes wrong is said while it does."""

    repo_id: str
    patience: Patience
    watch: Progress

    def seldom(self) -> Asking:
        """For what the client repeats by itself."""
        return replace(self, patience=replace(self.patience, attempts=min(2, self.patience.attempts)))

    def __call__(self, doing: str, ask: Callable[[], _T]) -> _T:
        """The answer of `ask`, which must be safe to repeat.

        Raises:
            HubProblem: if it fails for good, or too often.
        """
        attempt = 1
        while True:
            try:
                return ask()
            except Exception as error:  # noqa: PERF203 - to try again is what this loop is for
                attempt += 1
                self.wait_or_fail(error, doing, attempt)

    def wait_or_fail(self, error: Exception, doing: str, attempt: int) -> None:
        """Waits before the `attempt`-th try.

        Raises:
            HubProblem: if there is none to be.
        """
        wait = self.patience.wait_before(attempt, error)
        if wait is None:
            local = next((one for one in chain(error) if isinstance(one, OSError) and one.filename is not None), None)
            if local is not None:
                raise local
            raise as_problem(error, self.repo_id, doing, attempt - 1) from error
        self.watch.warn(
            f"{doing}: {in_short(error)}; again in {wait:.3g} s (try {attempt} of {self.patience.attempts})"
        )
        time.sleep(wait)
