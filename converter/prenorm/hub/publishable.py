"""Whether a folder may be published: it has a report with the verdict passed, and its files are those listed there.

The card alone may be edited: no proof is about it. The report that is sent has the digest of the card that is sent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prenorm.errors import NotProven, UsageProblem
from prenorm.files import CARD_FILE, REPORT_FILE, or_nearest
from prenorm.options.language import command_name
from prenorm.options.spoken import spoken
from prenorm.progress import Progress

_MOST_REPORT_BYTES = 256 << 20
_CHUNK = 4 << 20


def _convert() -> str:
    return f"Convert the checkpoint again; a card of your own goes in with {spoken('card', ...)}"


@dataclass(frozen=True)
class PublishableFile:
    """A file of the folder, hashed.

    Attributes:
        name: its name in the folder and the repo.
        path: where it lies.
        size: in bytes.
        sha256: its SHA-256, which is how the Hub knows files in LFS.
        git_oid: its id as a git blob, which is how the Hub knows the others.
        content: what is sent in the place of the file at `path`; None: just that.
    """

    name: str
    path: Path
    size: int
    sha256: str
    git_oid: str
    content: bytes | None = None

    def with_content(self, content: bytes) -> PublishableFile:
        """Return a file that is sent with another content than it has here.

        Args:
            content: what is sent.

        Returns:
            The file, hashed.
        """
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        sha256 = hashlib.sha256(content).hexdigest()
        return replace(self, size=len(content), sha256=sha256, git_oid=git.hexdigest(), content=content)

    @classmethod
    def at(cls, path: Path, progress: Progress) -> PublishableFile:
        """Read a file once, for both hashes.

        Args:
            path: the file.
            progress: receives the number of bytes read.

        Returns:
            The file, hashed.

        Raises:
            UsageProblem: if it cannot be read.
        """
        try:
            size = path.stat().st_size
            sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            with path.open("rb") as handle:
                while data := handle.read(_CHUNK):
                    sha256.update(data)
                    git.update(data)
                    progress.advance(len(data))
        except OSError as error:
            raise UsageProblem(f"cannot be read ({error.strerror})", subject=path, advice="Check its rights") from error
        return cls(path.name, path, size, sha256.hexdigest(), git.hexdigest())


@dataclass(frozen=True)
class Publishable:
    """What may be published: a folder's files and its report, or what is sent in their place.

    Attributes:
        path: the folder.
        files: what is sent, the report last.
        report: the report's content.
        card_edited: whether the folder's card is another than the conversion wrote.
        notes: what the user should know of what is sent.
    """

    path: Path
    files: tuple[PublishableFile, ...]
    report: dict[str, Any]
    card_edited: bool = False
    notes: tuple[str, ...] = ()

    @property
    def card(self) -> PublishableFile | None:
        """The model card; None if the report lists none."""
        return next((file for file in self.files if file.name == CARD_FILE), None)

    @property
    def adapted(self) -> tuple[str, ...]:
        """The names of the files that are sent with another content than they have in the folder."""
        return tuple(file.name for file in self.files if file.content is not None)

    def with_card(self, card: PublishableFile) -> Publishable:
        """Return the same with another card, and with its size and digest in the report.

        Args:
            card: the card, hashed.

        Returns:
            What is to be sent.
        """
        listed = [
            {**file, **({"bytes": card.size} if "bytes" in file else {}), "sha256": card.sha256}
            if file["name"] == CARD_FILE
            else file
            for file in self.report["target"]["files"]
        ]
        report = {**self.report, "target": {**self.report["target"], "files": listed}}
        # Just as `convert` writes it: a half of a surrogate pair, which UTF-8 cannot hold, as its escape.
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        *others, report_file = self.files
        files = [card if file.name == CARD_FILE else file for file in others]
        written = report_file.with_content(text.encode("utf-8", "backslashreplace"))
        return replace(self, files=(*files, written), report=report)


def check_folder(folder: Path, progress: Progress) -> Publishable:
    """Read the report and compare every file with it. Nothing is changed.

    Args:
        folder: the folder.
        progress: receives the stage, and the number of bytes read.

    Returns:
        The folder, its files hashed.

    Raises:
        UsageProblem: if the folder has no report of a conversion.
        NotProven: if the report's verdict is another than passed, or the folder is not what was proven; a card may be edited.
    """
    report = _read_report(folder)
    _check_verdict(folder / REPORT_FILE, report)
    expected = _listed(folder / REPORT_FILE, report)
    present = {path.name: path for path in folder.iterdir() if path.name != REPORT_FILE}
    problems = [f"'{name}' is missing" for name in sorted(expected.keys() - present.keys())]
    problems += [f"'{name}' is not in the report" for name in sorted(present.keys() - expected.keys())]
    progress.stage("Checking", sum(path.stat().st_size for path in present.values() if path.is_file()))
    files: list[PublishableFile] = []
    edited_card: PublishableFile | None = None
    for name in sorted(expected.keys() & present.keys()):
        file = _hashed(present[name], progress)
        is_edited = file is not None and file.sha256 != expected[name]
        if file is not None and is_edited and name == CARD_FILE:  # no proof is about what people write on the card
            edited_card = file
            files.append(file)
        elif file is None or is_edited:
            problems.append(f"'{name}' is not the file that the report is about: its SHA-256 differs")
        else:
            files.append(file)
    if problems:
        raise NotProven(
            "the folder is not the one that was proven",
            subject=folder,
            advice=f"{_convert()}. Nothing was sent:",
            problems=problems,
        )
    report_file = _hashed(folder / REPORT_FILE, progress)
    assert report_file is not None
    content = Publishable(folder, (*files, report_file), report, card_edited=edited_card is not None)
    return content if edited_card is None else content.with_card(edited_card)


def _read_report(folder: Path) -> dict[str, Any]:
    """Return the content of the folder's report."""
    if not folder.is_dir():
        advice = or_nearest(folder, f"Give a folder that {command_name('convert')} wrote")
        raise UsageProblem("is no folder", subject=folder, advice=advice)
    path = folder / REPORT_FILE
    if path.exists() and not path.is_file():
        raise UsageProblem("is no file", subject=path, advice=_convert())
    try:
        if path.stat().st_size > _MOST_REPORT_BYTES:
            raise UsageProblem("is too large for a report", subject=path, advice=_convert())
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageProblem(
            f"has no {REPORT_FILE}, so nothing says that it computes what its checkpoint does",
            subject=folder,
            advice=f"Push a folder that {command_name('convert')} wrote",
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageProblem("is no JSON", subject=path, advice=_convert()) from error
    if not isinstance(report, dict):
        raise UsageProblem("is no parity report", subject=path, advice=_convert())
    return report


def _check_verdict(path: Path, report: dict[str, Any]) -> None:
    """Refuse a report unless its verdict and every check that it rests on are passed."""
    checks, disagreements = report.get("checks"), report.get("disagreements")
    if not isinstance(checks, list) or not checks or not all(isinstance(check, dict) for check in checks):
        raise UsageProblem("is no parity report", subject=path, advice=_convert())
    failed = [
        str(check.get("name"))
        for check in checks
        if check.get("passed") is not True or (check.get("judged") is False and "counts" not in check)
    ]
    made = [
        check for check in checks if "counts" not in check
    ]  # the others say what was not judged, and refuse nothing
    passed = report.get("passed") is True and str(report.get("verdict")).partition(", ")[0] == "passed"
    if not passed or failed or disagreements or not made:
        raise NotProven(
            f"the verdict is '{report.get('verdict')}'" + (f" ({', '.join(failed)})" if failed else ""),
            subject=path,
            advice="Only a folder whose proof has passed is published",
        )


def _listed(path: Path, report: dict[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of every file that the report lists, by name."""
    target = report.get("target")
    files = target.get("files") if isinstance(target, dict) else None
    if not isinstance(files, list) or not files:
        raise UsageProblem(
            "lists no files: it is of a verification, not of a conversion", subject=path, advice=_convert()
        )
    sums = {}
    for file in files:
        name, sha256 = (file.get("name"), file.get("sha256")) if isinstance(file, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(sha256, str) or Path(name).name != name:
            raise UsageProblem("lists files in a way that is not ours", subject=path, advice=_convert())
        sums[name] = sha256
    return sums


def _hashed(path: Path, progress: Progress) -> PublishableFile | None:
    """Return the file, hashed; None for what is not a file."""
    return PublishableFile.at(path, progress) if path.is_file() else None
