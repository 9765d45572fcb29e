"""Bounds on work, in seconds of the processor: what else the machine does must not decide a test.

A slow machine takes more of these seconds than a quick one, and so does a core whose caches others use. So a bound that
seems broken is held against a yardstick, measured there and then.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

_YARDSTICK_SECONDS = 0.15  # what the yardstick takes on the machine that the bounds were written on, when it is quiet


def children_seconds() -> float:
    """Processor time of all children that ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def slowness() -> float:
    """How many times slower this machine computes at this moment than the bounds take for granted; at least 1."""
    start = time.process_time()
    words: dict[str, int] = {}
    for number in range(400_000):
        word = str(number % 5000)
        words[word] = words.get(word, 0) + number
    return max(1.0, (time.process_time() - start) / _YARDSTICK_SECONDS)


def within(seconds: float, limit: float) -> bool:
    """Whether processor time keeps to its limit, which counts for more on a slower machine."""
    return seconds < limit or seconds < limit * slowness()


@contextmanager
def at_most(limit: float) -> Iterator[None]:
    """Fails if what runs within it, in this process and its children, takes more than `limit` seconds of the processor."""
    start = time.process_time() + children_seconds()
    yield
    seconds = time.process_time() + children_seconds() - start
    assert within(seconds, limit), f"{seconds:.2f} s of the processor, and {limit} are allowed"
