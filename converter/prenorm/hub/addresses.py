"""How places on the Hub are written: repo ids, and files as hf://org/name/path.pt@revision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from prenorm.errors import UsageProblem

SCHEME = "hf://"
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
    """Return whether huggingface_hub takes `text` as a repo id: `name`, or `org/name`.

    Args:
        text: any text.

    Returns:
        True if it does; nothing is asked of the Hub.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


def check_repo_id(text: str) -> None:
    """Refuse a text that is not a repo id.

    Args:
        text: what the user wrote.

    Raises:
        UsageProblem: if it is not one.
    """
    if not is_repo_id(text):
        raise UsageProblem("is no repo id of the Hub", subject=text, advice="It has the form org/name")


def is_repo(place: str | Path) -> bool:
    """Return whether `place` means a repo of the Hub: it is written `org/name`, and no such path exists.

    Args:
        place: a path, or a repo id.

    Returns:
        False for a path.
    """
    text = str(place)
    return text.count("/") == 1 and not Path(text).exists() and is_repo_id(text)


def hub_file(text: str) -> HubFile | None:
    """Read an address of the form `hf://org/name/path.pt[@revision]`.

    The revision may also stand behind the repo's name, as in huggingface_hub's own addresses; a slash in it is then
    written %2F.

    Args:
        text: a path, or an address.

    Returns:
        The file; None for a text that does not start with `hf://`.

    Raises:
        UsageProblem: if it does, and the rest is not the address of a file.
    """
    if not text.startswith(SCHEME):
        return None
    matched = _FILE.fullmatch(text.removeprefix(SCHEME))
    if matched is None or (matched["early"] and matched["late"]) or not _is_inside_repo(matched["path"]):
        raise UsageProblem(
            "is no file on the Hub", subject=text, advice="Write hf://org/name/checkpoint.pt, and @revision behind it"
        )
    check_repo_id(matched["repo"])
    early = unquote(matched["early"]) if matched["early"] else None
    return HubFile(matched["repo"], matched["path"], early or matched["late"])


def _is_inside_repo(path: str) -> bool:
    """Return whether a path names a file below the repo's root."""
    parts = PurePosixPath(path).parts
    return not path.endswith("/") and ".." not in parts and not path.startswith("/")
