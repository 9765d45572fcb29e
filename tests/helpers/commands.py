"""The command line: as it is installed, forked from a process that has everything imported, and `main` in this process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import PRENORM, SCRIPTS
from helpers.waiting import PATIENCE


class Command:
    """A command that was started, and may have ended."""

    def __init__(self, told: int) -> None:
        self._told = told
        self.pid = self._next(PATIENCE)
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it goes on."""
        if self._code is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self._code

    def wait(self) -> int:
        """The exit code at the end."""
        if self._code is None:
            self._code = self._next(PATIENCE)
            os.close(self._told)
        return self._code

    def send_signal(self, number: int) -> None:
        """Sends it, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _next(self, seconds: float) -> int:
        ready, _, _ = select.select([self._told], [], [], seconds)
        assert ready, f"nothing came of the command within {seconds:.0f} s"
        return int(struct.unpack("q", os.read(self._told, 8))[0])


class _Server:
    """The process to fork from; `scripts/command_server.py` is its side."""

    def __init__(self) -> None:
        self._jobs, theirs = socket.socketpair()
        self._lock = threading.Lock()
        command = [sys.executable, str(SCRIPTS / "command_server.py"), str(theirs.fileno())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        atexit.register(self.close)

    def start(self, job: Mapping[str, object], *streams: int) -> Command:
        told, tell = os.pipe()
        with self._lock:
            socket.send_fds(self._jobs, [json.dumps(job).encode() + b"\n"], [*streams, tell])
            os.close(tell)
            return Command(told)

    def close(self) -> None:
        self._jobs.close()
        self._process.wait(timeout=PATIENCE)


@functools.cache
def _server() -> _Server:
    return _Server()


def start_command(
    *arguments: str | Path,
    stdout: int | None = None,
    stderr: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    umask: int = -1,
    changed: Mapping[str, object] | None = None,
) -> Command:
    """Starts the command's `main` in a process forked from one that has everything imported.

    Every option is that of `subprocess.Popen`, but for `changed`: what modules hold in it instead of their own, by dotted
    names. What is printed into no file is not kept. What a command does before its `main` is not seen so: that is for
    `run_installed`.
    """
    job = {
        "arguments": [*map(str, arguments)],
        "environment": dict(os.environ if env is None else env),
        "folder": str(cwd or Path.cwd()),
        "umask": umask,
        "changed": dict(changed or {}),
    }
    with Path(os.devnull).open("r+b", buffering=0) as nowhere:
        none = nowhere.fileno()
        return _server().start(job, none, none if stdout is None else stdout, none if stderr is None else stderr)


def run_command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end as `start_command` does, and returns what it printed."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        command = start_command(*arguments, stdout=stdout.fileno(), stderr=stderr.fileno(), **options)
        code = command.wait()
        texts = [stream.read() for stream in (stdout, stderr) if stream.seek(0) == 0]
    return subprocess.CompletedProcess([PRENORM, *map(str, arguments)], code, *texts)


def run_installed(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the installed command `prenorm`, as a user does, where its start is what matters."""
    return subprocess.run([PRENORM, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, **options)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command line in this process, so that a test can plant a fault; returns the exit code."""
    from prenorm.cli import main as cli

    monkeypatch.setattr(sys, "argv", ["prenorm", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return int(stopped.value.code)
