"""How places on the Hub are written: repo ids, and files as hf://org/name/path.pt@revision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from prenorm.errors import UsageProblem

SCHEME = "hf://"
_REPO_ID = re.compile(r"[\w.\-]+/[\w.\-]+")
_FILE = re.compile(
    r"(?P<repo>[\w.\-]+/[\w.\-]+)(@(?P<early>refs/[^@/]+/[^@/]+|[^@/]+))?/(?P<path>[^@]+)(@(?P<late>[^@]+))?"
)


@dataclass(frozen=True)
class HubFile:
    """A file of a repo; `revision` is a branch, tag or commit, None for the main branch."""

    repo_id: str
    path: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo_id}/{self.path}" + (f"@{self.revision}" if self.revision else "")


def is_repo_id(text: str) -> bool:
    """Whether `text` can be `org/name`, and is no path here."""
    return _REPO_ID.fullmatch(text) is not None and not Path(text).exists()


def hub_file(text: str) -> HubFile | None:
    """The file that `hf://org/name/path.pt[@revision]` names; None for what does not start so.

    The revision may also stand behind the repo's name, as in huggingface_hub's own addresses.

    Raises:
        UsageProblem: if the rest is no such address.
    """
    if not text.startswith(SCHEME):
        return None
    found = _FILE.fullmatch(text.removeprefix(SCHEME))
    if found is None or (found["early"] and found["late"]) or not _is_inside(found["path"]):
        raise UsageProblem(
            "is no file on the Hub", subject=text, advice="Write hf://org/name/checkpoint.pt, and @revision behind it"
        )
    early = unquote(found["early"]) if found["early"] else None  # a slash in it is written %2F there
    return HubFile(found["repo"], found["path"], early or found["late"])


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not path.endswith("/") and ".." not in parts and not path.startswith("/")
