"""A request and its answer, as the routes and the faults of the loopback Hub see them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

CHUNK = 1 << 20


class Dropped(Exception):
    """The connection ends here, without a word."""


class Refused(Exception):
    """A request that gets an error for an answer, in the Hub's form.

    Args:
        code: of HTTP.
        message: for the X-Error-Message header and the JSON body.
        error_code: for X-Error-Code, from which huggingface_hub picks its exception.
    """

    def __init__(self, code: int, message: str, error_code: str | None = None, **body: Any) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message, self.error_code, self.body = code, message, error_code, body

    def answer(self) -> Answer:
        headers = {"X-Error-Message": self.message}
        if self.error_code is not None:
            headers["X-Error-Code"] = self.error_code
        return Answer.of({"error": self.message, **self.body}, code=self.code, headers=headers)


@dataclass
class Answer:
    """What goes back: a body in memory, or a stretch of a file.

    `cut` is the number of bytes of the body after which the connection is dropped, although all were announced.
    """

    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Path = b""
    start: int = 0
    length: int | None = None
    cut: int | None = None

    @classmethod
    def of(cls, content: Any, code: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """An answer in JSON."""
        return cls(code, {"Content-Type": "application/json", **(headers or {})}, json.dumps(content).encode())

    @property
    def size(self) -> int:
        """Bytes of the body."""
        if self.length is not None:
            return self.length
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size

    def content(self) -> bytes:
        """The body, in memory."""
        if isinstance(self.body, bytes):
            return self.body[self.start : self.start + self.size]
        with self.body.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


class Body(Protocol):
    """A request's body, still to come."""

    @property
    def announced(self) -> int:
        """Bytes, by Content-Length."""

    def read(self, most: int = CHUNK) -> bytes:
        """The next bytes, at most that many; none at the end."""


@dataclass
class Exchange:
    """A request on its way through the server.

    `groups` are the parts of the path that the route names, unquoted; `token` is the secret that came along.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Body
    phase: str = "unknown"
    number: int = 0  # of the requests that the server has had, in the order in which they arrived
    groups: dict[str, str] = field(default_factory=dict)
    _read: bytes | None = None

    @property
    def token(self) -> str | None:
        value = self.headers.get("authorization", "")
        return value.removeprefix("Bearer ") if value.startswith("Bearer ") else None

    @property
    def repo(self) -> str:
        return self.groups["repo"]

    def asks(self, name: str) -> bool:
        """Whether the query has a flag such as `create_pr=1`."""
        return self.query.get(name, [""])[0].lower() in ("1", "true")

    def content(self) -> bytes:
        """The whole body, read once."""
        if self._read is None:
            self._read = b"".join(iter(self.body.read, b""))
        return self._read

    def json(self) -> Any:
        try:
            return json.loads(self.content() or b"{}")
        except ValueError as error:
            raise Refused(400, f"Invalid JSON: {error}") from error

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.content().decode())

    def drain(self) -> None:
        """Takes what is left of the body, so that the connection can serve another request."""
        while self.body.read():
            pass


def unquoted(groups: dict[str, str | None]) -> dict[str, str]:
    """The named parts of a path; names with a slash come as %2F."""
    return {name: unquote(value) for name, value in groups.items() if value is not None}
