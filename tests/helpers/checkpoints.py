"""Edited copies of the fixtures' checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from helpers.paths import MLM


def load_trusted(path: Path) -> dict[str, Any]:
    """One of our own fixtures, unpickled the usual way, to be changed."""
    content: dict[str, Any] = torch.load(path, weights_only=False)
    return content


def save_edited(path: Path, edit: Callable[[dict[str, Any]], object], source: Path = MLM, **options: Any) -> Path:
    """A copy of a fixture at `path`, with its dictionary beside it, after `edit` changed the content."""
    content = load_trusted(source)
    edit(content)
    torch.save(content, path, **options)
    (path.parent / "dict.txt").write_bytes((source.parent / "dict.txt").read_bytes())
    return path
