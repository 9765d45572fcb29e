"""The one error that is answered with a reason."""

from __future__ import annotations


class Refusal(Exception):
    """What fairseq cannot do with the request: the kind of fault, and the single problems."""

    def __init__(self, kind: str, message: str, problems: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.problems = problems or []
