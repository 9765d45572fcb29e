"""A process that runs `prenorm` on one file after the other, each in a child of its own, and watches what happens.

The worker first does once what it will do again: it refuses a file or, on request, converts one. Then it forks for every
file. So a run costs milliseconds, its peak memory is measured against an idle child, and whatever it still imports,
compiles, opens for writing or starts is the file's doing: an audit hook writes it down, and nothing that Python does can
take the hook off again. A worker for refusals has not imported torch; a file that it would convert shows as an import.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

MARKER = "executed"
OUTPUT = "out"
_STAGING = f".{OUTPUT}.prenorm-staging-"
_HANG_SECONDS = 120  # of the processor
_SLEEP_SECONDS = 600  # by the clock
_MEMORY_LIMIT = 6 << 30  # of address space: a bomb must not take the machine with it
# Audit events that must not occur (Python's documentation lists them all); what they start with is enough.
_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "os.kill", "os.putenv", "os.link",
    "os.symlink", "os.truncate", "os.chown", "os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.chmod", "os.utime",
    "subprocess.", "pty.", "socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "tempfile.", "shutil.",
    "pickle.", "marshal.", "exec", "compile", "import", "cpython.run",
    "builtins.input", "builtins.breakpoint", "sys.set", "code.__new__", "ctypes.",
)  # fmt: skip
# rich annotates an inner function of its `Text.join` with the name of its class, which typing compiles whenever its cache
# has lost it. This text and no other.
_ANNOTATION = ("compile", b"Text", "<string>")
# How a finished folder is renamed in one step: by the C library, which Python has no function for.
_PUBLISHING = (("ctypes.dlopen", None), ("ctypes.dlsym", "renameat2"))


@dataclass(frozen=True)
class Run:
    """What became of one command.

    `seconds` are the processor's, which do not depend on what else the machine does; a command that hangs or sleeps is
    ended by a signal. `peak_mb` is above an idle child; `events` are the forbidden ones.
    """

    code: int
    seconds: float
    peak_mb: float
    stdout: str
    stderr: str
    events: tuple[str, ...]


class Sandbox:
    """The worker, from the side of the test that uses it; with `torch`, one that can convert."""

    def __init__(self, *, torch: bool) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "10000"}
        # `-I`: neither the current folder nor PYTHONPATH decides what is imported.
        command = [sys.executable, "-I", str(Path(__file__))]
        with tempfile.TemporaryDirectory() as folder:
            if torch:
                from .writing import as_zip, sound

                command.append(str(Path(folder) / "sound.pt"))
                Path(command[-1]).write_bytes(as_zip(sound()))
            self._worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            self.idle_mb = float(self._ask(None)["idle_mb"])  # type: ignore[arg-type]

    def run(self, folder: Path, *arguments: str | Path) -> Run:
        """Runs `prenorm ARGUMENTS`, or `torch.load FILE`, in `folder`."""
        return Run(**{**self._ask([str(folder), *map(str, arguments)])})  # type: ignore[arg-type]

    def close(self) -> None:
        """Ends the worker."""
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait(timeout=600)

    def _ask(self, request: object) -> dict[str, object]:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        answer: dict[str, object] = json.loads(self._worker.stdout.readline())
        return answer


# -- the worker's side


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _warm_up()
    idle = _idle_mb()
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"idle_mb": idle} if request is None else _run(Path(request[0]), request[1:], idle)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _warm_up() -> None:
    """Does everything once, then gives back the memory it took."""
    fixture = Path(__file__).resolve().parents[3] / "fixtures" / "dinkytrain-mlm" / "checkpoint.pt"
    refused = fixture.with_name("dict.txt")
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        commands = [
            ["inspect", fixture],
            ["inspect", fixture, "--json"],
            ["inspect", refused],
            ["convert", refused, f"{folder}/no"],
        ]
        if sound := sys.argv[1:]:  # most hostile files hold the same sound model, whose plot is so drawn once
            runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "drawn_once.py"))["draw_once"]()
            commands += [["convert", fixture, f"{folder}/out", "--json"], ["torch.load", fixture]]
            commands += [["convert", *sound, f"{folder}/sound"]]
        for arguments in commands:
            _main(list(map(str, arguments)))
    from rich.cells import cell_len

    cell_len("\u0663")  # rich imports its table of wide letters when it first meets one
    for codec in ("raw_unicode_escape", "unicode_escape"):  # Python imports them when they are first used
        "".encode(codec)
    gc.collect()
    gc.freeze()  # a child's own collections would else touch, and so copy, every page of what is imported
    ctypes.CDLL(None).malloc_trim(0)


def _main(arguments: list[str]) -> int:
    """The command line, as its entry point runs it."""
    if arguments[0] == "torch.load":
        import torch

        torch.set_num_threads(1)
        torch.load(arguments[1], weights_only=False)
        return 0
    from prenorm.cli.main import main

    sys.argv = ["prenorm", *arguments]
    try:
        main()
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 1


def _idle_mb() -> float:
    """The peak of a child that does nothing. A child starts without the libraries' pages, so the worker's would flatter."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.wait4(child, 0)[2].ru_maxrss / 1024


def _run(folder: Path, arguments: list[str], idle: float) -> dict[str, object]:
    paths = [folder.parent / f"{folder.name}-{part}" for part in ("stdout", "stderr", "events")]
    child = os.fork()
    if child == 0:
        _in_child(folder, arguments, paths)
    _, status, used = os.wait4(child, 0)
    stdout, stderr, events = (path.read_text(errors="surrogateescape") for path in paths)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024 - idle,
        "stdout": stdout,
        "stderr": stderr,
        "events": events.splitlines(),
    }


def _in_child(folder: Path, arguments: list[str], paths: list[Path]) -> None:
    """Never returns: the child ends with the command's exit code, or by the alarm if it hangs."""
    code = 70
    try:
        os.chdir(folder)
        for number, path in enumerate(paths[:2], 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        log = os.open(paths[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, _MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_CPU, (_HANG_SECONDS, _HANG_SECONDS))
        signal.alarm(_SLEEP_SECONDS)
        sys.addaudithook(lambda event, args: _watch(log, event, args))
        code = _main(arguments)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(log: int, event: str, args: tuple[object, ...]) -> None:
    """Writes down what must not happen; writing inside the staging folder may."""
    if event == "open":
        flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            return
    elif not event.startswith(_FORBIDDEN):
        return
    if any(_STAGING in _place(part) for part in args):
        return
    if (event, *args) == _ANNOTATION or (event, *args[-1:]) in _PUBLISHING:
        return
    os.write(log, f"{event} {str(args)[:200]!r}\n".encode("utf-8", "backslashreplace"))


def _place(part: object) -> str:
    """The path that an argument of an event is, or the folder it is open on; empty for anything else."""
    if isinstance(part, (str, bytes, os.PathLike)):
        return os.fsdecode(part)
    link = Path(f"/proc/self/fd/{part}")
    return str(link.readlink()) if type(part) is int and link.is_symlink() else ""


if __name__ == "__main__":
    _serve()
