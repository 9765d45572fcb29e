"""The command line: as it is installed, forked from a process that is warm, and `main` in this process."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.forking import ForkedScript, ForkServer
from helpers.paths import BPE, MLM, PRENORM, SCRIPTS
from helpers.tokenizer_cases import UNIGRAM
from helpers.waiting import PATIENCE

DRAWN = "PRENORM_TESTS_DRAWN"  # names the folder that keeps the plots which were drawn


@functools.cache
def _server() -> ForkServer:
    """The process to fork from, one for each process of tests. It has done once what is asked of it most.

    So it has imported all but huggingface_hub itself, which reads its settings as it is imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        command, output, bpe = (str(path) for path in (PRENORM, Path(folder) / "out", BPE))
        commands = [
            [str(SCRIPTS / "drawn_once.py"), os.environ.get(DRAWN, "")],
            [command, "convert", str(MLM), output, "--bpe-dir", bpe, "--quiet"],
            [command, "verify", str(MLM), output, "--bpe-dir", bpe],
            [command, "inspect", str(MLM)],
            [command, "inspect", str(UNIGRAM / "checkpoint.pt")],  # whose table of characters takes a second to read
            [str(SCRIPTS / "needs_of_hub.py")],
        ]
        server = ForkServer(Path(sys.executable), ["torch"], commands, TOKENIZERS_PARALLELISM="false")
        is_imported = "import sys; sys.exit('huggingface_hub' in sys.modules)"
        (Path(folder) / "imported.py").write_text(is_imported)
        assert server.run(Path(folder) / "imported.py").returncode == 0
    return server


def start_command(*arguments: str | Path, **options: Any) -> ForkedScript:
    """Starts the installed command in a process forked from one that is warm; the options are `ForkServer.start`'s."""
    return _server().start(PRENORM, *arguments, **options)


def run_command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs it so to its end; the options are `ForkServer.run`'s."""
    return _server().run(PRENORM, *arguments, **options)


def run_script(script: Path, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs another script so to its end; the options are `ForkServer.run`'s."""
    return _server().run(script, *arguments, **options)


def run_changed(
    changed: Mapping[str, object], *arguments: str | Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs it so with modules that hold something else than their own: `changed` says what, by dotted names."""
    return _server().run(SCRIPTS / "changed_command.py", json.dumps(changed), *arguments, **options)


def start_changed(changed: Mapping[str, object], *arguments: str | Path, **options: Any) -> ForkedScript:
    """Starts it so."""
    return _server().start(SCRIPTS / "changed_command.py", json.dumps(changed), *arguments, **options)


def run_installed(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the installed command in an interpreter of its own, where its start is what matters."""
    return subprocess.run([PRENORM, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, **options)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command line in this process, so that a test can plant a fault; returns the exit code."""
    from prenorm.cli import main as cli

    monkeypatch.setattr(sys, "argv", ["prenorm", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return int(stopped.value.code)
