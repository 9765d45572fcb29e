"""Faults by script: which request of which phase goes wrong, and how. Rules count requests, so that a test repeats.

hub.faults.add("commit", DropBeforeAnswer())                  # the first commit happens, its answer is lost
hub.faults.add("lfs-upload", Status(503), times=2)            # two uploads fail, the third works
hub.faults.add("content", DropInAnswer(1000), method="GET", at=2)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from .exchange import Answer, Dropped, Exchange, Refused

# The parts of the protocol that a rule can name.
PHASES = frozenset(
    {
        "auth-check", "branch", "commit", "commits", "content", "create", "delete", "discussions", "info", "lfs-batch",
        "lfs-complete", "lfs-upload", "lfs-verify", "paths-info", "preupload", "refs", "resolve", "settings", "tree",
        "validate-yaml", "whoami", "xet-token",
    }
)  # fmt: skip


RELEASE = "release"


class Hooks(Protocol):
    """What an action may do to the server."""

    def wait(self, seconds: float) -> None:
        """Sleeps, unless the server stops."""

    def hold(self, exchange: Exchange, until: str) -> None:
        """Waits for a later request of the phase `until`, of any phase if it is empty, for the release, or the end."""

    def overtake(self, exchange: Exchange, files: Mapping[str, bytes], author: str) -> None:
        """Commits onto the revision that the request names, as somebody else."""


class Action:
    """Does nothing; the kinds of faults say otherwise."""

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        """Runs before the body is read; an answer ends the request there."""
        return None

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        """Runs when everything is done and nothing is sent."""
        return answer


@dataclass(frozen=True)
class Status(Action):
    """An error of HTTP in place of the work; `Status(429, {"Retry-After": "0"})`."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "A fault of the script"
    error_code: str | None = None

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        exchange.drain()
        answer = Refused(self.code, self.message, self.error_code).answer()
        return replace(answer, headers={**answer.headers, **self.headers})


@dataclass(frozen=True)
class DropBeforeBody(Action):
    """The connection goes as soon as the request's head is there."""

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        raise Dropped


@dataclass(frozen=True)
class DropInBody(Action):
    """The connection goes in the middle of the request's body: after `after` bytes, or half of what was announced."""

    after: int | None = None

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        left = self.after if self.after is not None else exchange.body.announced // 2
        while left > 0 and (read := exchange.body.read(left)):
            left -= len(read)
        raise Dropped


@dataclass(frozen=True)
class DropBeforeAnswer(Action):
    """The work is done, and nobody hears of it."""

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        raise Dropped


@dataclass(frozen=True)
class DropInAnswer(Action):
    """The connection goes in the middle of the answer's body: after `after` bytes, or half of it."""

    after: int | None = None

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        return replace(answer, cut=self.after if self.after is not None else answer.size // 2)


@dataclass(frozen=True)
class Delay(Action):
    """A slow server: it sleeps before it reads the body, or between the work and the answer."""

    seconds: float
    after: bool = False

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        if not self.after:
            hooks.wait(self.seconds)
        return None

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        if self.after:
            hooks.wait(self.seconds)
        return answer


@dataclass(frozen=True)
class Hold(Action):
    """A slow server, as `Delay` is one, but slow until something has happened: no clock decides who comes first.

    `until` is the phase of the later request that shows that the client gave this one up; one of any phase does if it is
    empty, and none if it is `RELEASE`. `hub.release()` ends it in any case.
    """

    until: str = ""
    after: bool = False

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        if not self.after:
            hooks.hold(exchange, self.until)
        return None

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        if self.after:
            hooks.hold(exchange, self.until)
        return answer


@dataclass(frozen=True)
class WrongContent(Action):
    """An answer of the right length with a wrong byte in its middle."""

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        content = bytearray(answer.content())
        if content:
            content[len(content) // 2] ^= 0xFF
        return replace(answer, body=bytes(content), start=0, length=None)


@dataclass(frozen=True)
class Garbage(Action):
    """An answer of a login page or a proxy, with a code that says all is well; the work is done."""

    body: bytes = b"<html><body>Please log in to the network.</body></html>"
    code: int = 200

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        return Answer(self.code, {"Content-Type": "text/html"}, self.body)


@dataclass(frozen=True)
class NoRanges(Action):
    """A server that knows no ranges: it answers with the whole file."""

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        exchange.headers.pop("range", None)
        return None


@dataclass(frozen=True)
class Headers(Action):
    """An answer with other headers: those that are None are left out."""

    headers: Mapping[str, str | None]

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        kept = {name: value for name, value in {**answer.headers, **self.headers}.items() if value is not None}
        return replace(answer, headers=kept)


@dataclass(frozen=True)
class Replaced(Action):
    """An answer in which a text stands for another."""

    old: bytes
    new: bytes

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        return replace(answer, body=answer.content().replace(self.old, self.new), start=0, length=None)


@dataclass(frozen=True)
class Resized(Action):
    """A body of so many bytes more, or less, than the headers speak of, but for Content-Length."""

    by: int

    def after_work(self, exchange: Exchange, answer: Answer, hooks: Hooks) -> Answer:
        content = answer.content()
        body = content + bytes(self.by) if self.by > 0 else content[: self.by]
        return replace(answer, body=body, start=0, length=None)


@dataclass(frozen=True)
class Overtaken(Action):
    """Somebody else's commit lands on the same revision just before the request is worked on."""

    files: Mapping[str, bytes] = field(default_factory=lambda: {"theirs.txt": b"theirs\n"})
    author: str = "somebody-else"

    def before_work(self, exchange: Exchange, hooks: Hooks) -> Answer | None:
        hooks.overtake(exchange, self.files, self.author)
        return None


@dataclass
class Rule:
    """A fault of the `at`-th request (from 1) and of the `times - 1` after it; `times=None`: from there on all.

    `method` and `path` (a part of it) narrow down which requests of the phase are counted.
    """

    phase: str
    action: Action
    at: int = 1
    times: int | None = 1
    method: str | None = None
    path: str = ""
    seen: int = 0

    def takes(self, exchange: Exchange) -> bool:
        """Counts the request if it is of the rule's kind; whether it goes wrong."""
        if exchange.phase != self.phase or self.method not in (None, exchange.method) or self.path not in exchange.path:
            return False
        self.seen += 1
        return self.at <= self.seen and (self.times is None or self.seen < self.at + self.times)

    @property
    def spent(self) -> bool:
        """Whether every fault of the rule has happened; for one without an end, whether any has."""
        return self.seen >= self.at + (self.times or 1) - 1


class Faults:
    """The rules of a server, in the order in which they were added; the first that takes a request has it."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(
        self,
        phase: str,
        action: Action,
        *,
        at: int = 1,
        times: int | None = 1,
        method: str | None = None,
        path: str = "",
    ) -> Rule:
        """Adds a rule, which counts from now on."""
        if phase not in PHASES:
            raise ValueError(f"no phase '{phase}': {', '.join(sorted(PHASES))}")
        rule = Rule(phase, action, at, times, method, path)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def pending(self) -> list[Rule]:
        """The rules that have not happened in full: a test that expects its faults asserts there are none."""
        with self._lock:
            return [rule for rule in self._rules if not rule.spent]

    def take(self, exchange: Exchange) -> Action | None:
        """The fault of this request; every rule counts it."""
        with self._lock:
            taken = [rule.action for rule in self._rules if rule.takes(exchange)]
        return taken[0] if taken else None
