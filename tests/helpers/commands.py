"""The command line: the installed command, and its `main` in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import PRENORM
from helpers.waiting import PATIENCE


def run_command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The installed command `prenorm`, as a user runs it."""
    # What C code has put into the process's environment, as readline puts a COLUMNS, is none of the user's.
    options.setdefault("env", dict(os.environ))
    return subprocess.run([PRENORM, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, **options)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command line in this process, so that a test can plant a fault; returns the exit code."""
    from prenorm.cli import main as cli

    monkeypatch.setattr(sys, "argv", ["prenorm", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return int(stopped.value.code)
