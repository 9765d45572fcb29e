"""The names of the files in a model folder, which transformers and the Hub fix, and of the report that prenorm adds.

And what every room does with the bytes of a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from prenorm.errors import UsageProblem, did_you_mean, nearest

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
CARD_FILE = "README.md"
PLOT_FILE = "parity.png"
REPORT_FILE = "parity_report.json"

# What transformers may read a tokenizer from, besides tokenizer_config.json.
TOKENIZER_SOURCES = (
    TOKENIZER_FILE, "vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
)  # fmt: skip
TOKENIZER_SUPPLEMENTS = ("special_tokens_map.json", "added_tokens.json")

_PIECE_BYTES = 4 << 20
_PARTIAL = ".partial"
_MOST_NAMES = 10_000  # of a folder, in which a misspelt one is looked for


@contextmanager
def readable(path: Path, most: int, kind: str, advice: str, what: str = "") -> Iterator[None]:
    """Refuse a file that a user names, if it is too large or cannot be read.

    Args:
        path: the file, which is read within the context.
        most: how many bytes no sound one exceeds.
        kind: what it should be, with its article.
        advice: what to do.
        what: what the errors call it, with a space behind; nothing, if its path says enough.

    Yields:
        Once, to read it.

    Raises:
        UsageProblem: if it is too large, cannot be read or is no text.
    """
    try:
        if path.stat().st_size > most:
            raise UsageProblem(f"is too large for {kind}", subject=path, advice=advice)
        yield
    except FileNotFoundError as error:
        raise UsageProblem(f"{what}does not exist", subject=path, advice=or_nearest(path, advice)) from error
    except OSError as error:
        raise UsageProblem(f"{what}cannot be read ({error.strerror})", subject=path, advice=advice) from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{what}is not UTF-8 text", subject=path, advice=advice) from error


def or_nearest(path: Path, advice: str) -> str:
    """Return what to do about a path that does not exist.

    Args:
        path: what the user wrote.
        advice: what to do where it is not misspelt.

    Returns:
        The question whether the nearest path was meant, where a folder has a name much like the missing one; else the advice.
    """
    missing = path
    while not os.path.lexists(missing.parent):
        missing = missing.parent
    try:
        names = [entry.name for entry in islice(os.scandir(missing.parent), _MOST_NAMES)]
    except OSError:
        return advice
    name = nearest(missing.name, names)
    return advice if name is None else did_you_mean(missing.with_name(name) / path.relative_to(missing))


def pieces_of(path: Path) -> Iterator[bytes]:
    """Read a file, some megabytes at a time.

    Args:
        path: the file.

    Yields:
        The next bytes.
    """
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE_BYTES):
            yield piece


def sha256_of(pieces: Iterable[bytes | memoryview]) -> str:
    """Return the SHA-256 of bytes that come in pieces.

    Args:
        pieces: the bytes.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it sees the old content or the new, whenever this process ends.

    Args:
        path: the file, which may exist.
        content: what it holds then.

    Raises:
        OSError: if it cannot be written; it is as it was then.
    """
    # Named after machine and process, so that two of them never write the same file, and `remove_partial` knows whose it is.
    partial = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{_PARTIAL}")
    try:
        with partial.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_partial(folder: Path) -> None:
    """Remove what killed processes of this machine left of files that they wrote in one step.

    Args:
        folder: where they lie.
    """
    for path in folder.glob(f".*.{platform.node()}.*{_PARTIAL}"):
        number = path.name.removesuffix(_PARTIAL).rpartition(".")[2]
        if not (number.isdecimal() and _is_alive(int(number))):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def json_object(path: Path, most: int = 256 << 20) -> dict[str, Any] | None:
    """Read a file of a folder that may hold a JSON object.

    Args:
        path: the file.
        most: how many bytes it may have.

    Returns:
        The object; None if there is no such file, or no such object in it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= most else None
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
