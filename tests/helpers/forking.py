"""Scripts in processes forked from one that is warm, so that a test of many runs does not pay for as many imports."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.paths import SCRIPTS
from helpers.waiting import PATIENCE


class ForkedScript:
    """A script that was started, and may have ended."""

    def __init__(self, told: int) -> None:
        self._told = told
        self.pid = self._next()
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it goes on."""
        if self._code is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self._code

    def wait(self) -> int:
        """The exit code at the end."""
        if self._code is None:
            self._code = self._next()
            os.close(self._told)
        return self._code

    def send_signal(self, number: int) -> None:
        """Sends it, unless the script has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _next(self) -> int:
        ready, _, _ = select.select([self._told], [], [], PATIENCE)
        assert ready, f"nothing came of the script within {PATIENCE:.0f} s"
        return int(struct.unpack("q", os.read(self._told, 8))[0])


class ForkServer:
    """A process that has imported `modules` and run `commands`, each a script and its arguments; it forks one for each job.

    What a script does at its very start is not seen so: which modules it imports, and how long that takes.
    """

    def __init__(
        self, python: Path, modules: Sequence[str], commands: Sequence[Sequence[str]] = (), **environment: str
    ) -> None:
        self._jobs, theirs = socket.socketpair()
        self._lock = threading.Lock()
        script, number = SCRIPTS / "fork_server.py", theirs.fileno()
        self._process = subprocess.Popen(
            [str(python), str(script), str(number), json.dumps(modules), json.dumps(commands)],
            stdin=subprocess.DEVNULL, pass_fds=[number], env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip
        theirs.close()
        atexit.register(self._close)

    def start(
        self,
        *command: str | Path,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        umask: int = -1,
        changed: Mapping[str, object] | None = None,
    ) -> ForkedScript:
        """Starts a script. Without a file, nothing is read or kept.

        The options are those of `subprocess.Popen`, but for `changed`: what modules hold instead, by dotted names.
        """
        job = {
            "command": [*map(str, command)],
            "environment": dict(os.environ if env is None else env),
            "folder": str(cwd or Path.cwd()),
            "umask": umask,
            "changed": dict(changed or {}),
        }
        told, tell = os.pipe()
        with Path(os.devnull).open("r+b", buffering=0) as nowhere, self._lock:
            streams = [nowhere.fileno() if stream is None else stream for stream in (stdin, stdout, stderr)]
            socket.send_fds(self._jobs, [json.dumps(job).encode() + b"\n"], [*streams, tell])
            os.close(tell)
            return ForkedScript(told)

    def run(
        self,
        *command: str | Path,
        input: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        umask: int = -1,
        changed: Mapping[str, object] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end, and returns what it printed."""
        with (
            tempfile.TemporaryFile("w+") as stdin,
            tempfile.TemporaryFile("w+") as stdout,
            tempfile.TemporaryFile("w+") as stderr,
        ):
            stdin.write(input)
            stdin.seek(0)
            streams = {"stdin": stdin.fileno(), "stdout": stdout.fileno(), "stderr": stderr.fileno()}
            code = self.start(*command, env=env, cwd=cwd, umask=umask, changed=changed, **streams).wait()
            texts = [stream.read() for stream in (stdout, stderr) if stream.seek(0) == 0]
        return subprocess.CompletedProcess([*map(str, command)], code, *texts)

    def _close(self) -> None:
        self._jobs.close()
        self._process.wait(timeout=PATIENCE)
