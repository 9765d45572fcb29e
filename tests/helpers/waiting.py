"""Waiting for events. The limit only turns a hang into a failure; no test is decided by it."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600.0  # seconds


def wait_until(happened: Callable[[], object], what: str = "it") -> None:
    """Returns as soon as `happened()` is true."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.005)
