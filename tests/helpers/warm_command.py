"""The command in processes forked from one that has torch imported, each to be hit at a chosen step.

What a test of many kills would spend on imports, it so has for kills. The forked process runs the command's own `main`. A
step is a call into the system that can change a file, a folder or a lock: Python's profiler sees each of them come and go,
so that nothing in the product has to be patched for it, or to know of it.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

from helpers.events import Event
from helpers.paths import TESTS
from helpers.system_limits import drop_power, limit_files, mount_small_disk
from helpers.waiting import PATIENCE

_CALLS = {
    "mkdir", "chmod", "open", "close", "write", "fsync", "rename", "replace", "unlink", "remove", "rmdir", "flock",
}  # fmt: skip
_MODULES = {"posix", "fcntl", "io", "_io"}


@dataclass
class Run:
    """One command: its arguments, what becomes of it, and under which conditions it runs."""

    arguments: list[str]
    # At step number `at` (from 1; 0: never) happens `fault`: a signal before the call ("KILL", "STOP"), a signal on the way
    # back from it ("INT", "TERM": as one that arrives during the call), or the call fails ("ENOSPC").
    at: int = 0
    fault: str = ""
    steps: str = ""  # a file that gets the names of the steps
    # A function of prenorm.commands.convert, before which the run waits: for the event `until`, or, where that is not given,
    # until all runs of the group have come there.
    wait_before: str = ""
    until: str = ""  # the path of an event
    held_up: str = ""  # the path of an event, which happens when the run waits for a folder's lock, or has ended
    processor_seconds: float = 0.0  # if not 0: ended by SIGPROF, without any clearing up, when it has used so many
    processor_seconds_used: str = ""  # a file that gets how many it has used
    no_exchange: bool = False  # as on a system that cannot swap two folders in one step
    powerless: bool = False  # without root's power to write where the mode forbids it
    read_only: str = ""  # a folder that becomes read-only just before publication
    largest_file: int = 0  # bytes, if not 0
    # If not 0, bytes of a disk mounted on OUTPUT's parent; where that is not allowed, of the largest file.
    disk: int = 0
    # A file that gets, as JSON, what is in OUTPUT's parent afterwards, and whether there was a disk.
    left_on_disk: str = ""
    errors: str = os.devnull  # a file for stderr


class WarmCommand:
    """The test's side: starts runs, and waits for them."""

    def __init__(self, checkpoint: Path, output: Path) -> None:
        """Starts the process to fork from, which converts once."""
        self._server = subprocess.Popen(
            [sys.executable, "-m", "helpers.warm_command", str(checkpoint), str(output)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={
                **os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(TESTS)
            },
        )  # fmt: skip
        self._ask({})

    def __enter__(self) -> WarmCommand:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=PATIENCE)

    def start(self, *runs: Run) -> list[int]:
        """Starts the runs together; returns their process ids."""
        started: list[int] = self._ask({"runs": [asdict(run) for run in runs]})
        return started

    def wait(self, pid: int) -> int:
        """The exit code, or minus the signal that ended it; for a run that stopped itself, minus SIGSTOP."""
        code: int = self._ask({"wait": pid})
        return code

    def run(self, *arguments: str | Path, **conditions: Any) -> int:
        """One run to its end."""
        (pid,) = self.start(Run([str(argument) for argument in arguments], **conditions))
        return self.wait(pid)

    def _ask(self, request: object) -> Any:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


class Steps:
    """Counts the steps of a run, and brings the fault about."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._late = run.fault in ("INT", "TERM")
        self._held_up = Event(run.held_up) if run.held_up else None
        self.names: list[str] = []

    def watch(self) -> None:
        """Begins counting, in this thread and those to come; not in what only reads and computes, which it would slow."""
        from prenorm.commands import convert as pipeline
        from prenorm.proof import by_checkpoint

        idle = ((pipeline, "open_source"), (pipeline, "prepare_with_weights"), (by_checkpoint, "prove"))
        for module, name in idle:
            setattr(module, name, self._unwatched(getattr(module, name)))
        threading.setprofile(self._see)
        sys.setprofile(self._see)

    def _unwatched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            sys.setprofile(None)
            result = function(*args, **options)
            sys.setprofile(self._see)
            return result

        return call

    def end(self) -> None:
        """Whoever waits for the run to be held up need not wait any longer."""
        sys.setprofile(None)
        if self._held_up is not None:
            self._held_up.happens()

    def _see(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ == "sleep" and frame.f_code.co_name == "alone_in":
            if self._held_up is not None:
                self._held_up.happens()
                self._held_up = None
            return
        if event in ("call", "return"):
            # Called through ctypes, which the profiler does not see, by a function of our own, which it does.
            if frame.f_code.co_name == "_renameat2" and (event == "return") == self._late:
                self._step("renameat2")
        elif (
            event == ("c_return" if self._late else "c_call") and called.__name__ in _CALLS and _changes(frame, called)
        ):
            self._step(called.__name__)

    def _step(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) != self._run.at:
            return
        if self._run.fault == "ENOSPC":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), getattr(signal, f"SIG{self._run.fault}"))


def _changes(frame: FrameType, called: Any) -> bool:
    if called.__module__ is None:  # a method: of a file, or of a buffer in memory
        return type(called.__self__).__name__ == "FileIO"
    if called.__name__ == "open" and "r" in str(frame.f_locals.get("mode")):  # Path.open, to read
        return False
    return called.__module__ in _MODULES


def _serve(checkpoint: str, output: str) -> None:
    """The other side: runs the command once, so that everything is imported, then forks a process for every run."""
    import torch

    from helpers.scripts.drawn_once import draw_once
    from prenorm.cli import main as cli

    draw_once(str(Path(output).parent))
    torch.set_num_threads(1)  # threads do not survive a fork
    sys.argv = ["prenorm", "convert", checkpoint, output, "--quiet"]
    with suppress(SystemExit):
        cli.main()
    assert Path(output).exists()
    for number in (signal.SIGTERM, signal.SIGHUP):  # which the command handles
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest
    gc.collect()
    gc.freeze()  # spares the forked processes the copying of every page that a collection would touch
    for line in sys.stdin:
        request = json.loads(line)
        answer: object = None
        if "runs" in request:
            runs = [Run(**run) for run in request["runs"]]
            barrier = get_context("fork").Barrier(len(runs))
            answer = [_fork(run, barrier) for run in runs]
        elif "wait" in request:
            status = os.waitpid(request["wait"], os.WUNTRACED)[1]
            answer = -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        print(json.dumps(answer), flush=True)


def _fork(run: Run, barrier: Any) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        for number, path in ((0, os.devnull), (1, os.devnull), (2, run.errors)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _run_command(run, barrier)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run_command(run: Run, barrier: Any) -> int:
    from prenorm.cli import main as cli

    parent = Path(run.arguments[2]).parent
    mounted = _set_conditions(run, barrier, parent)
    sys.argv = ["prenorm", *run.arguments]
    steps = Steps(run)
    if run.at or run.steps or run.held_up:
        steps.watch()
    if run.processor_seconds:
        signal.setitimer(signal.ITIMER_PROF, run.processor_seconds)
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        steps.end()
    if run.processor_seconds_used:
        Path(run.processor_seconds_used).write_text(str(time.process_time()))
    if run.steps:
        Path(run.steps).write_text("\n".join(steps.names))
    if run.left_on_disk:
        Path(run.left_on_disk).write_text(json.dumps([mounted, [entry.name for entry in parent.iterdir()]]))
    return code


def _set_conditions(run: Run, barrier: Any, parent: Path) -> bool:
    from prenorm.commands import convert as pipeline
    from prenorm.folder import filesystem

    mounted = bool(run.disk) and mount_small_disk(parent, run.disk)
    largest = run.largest_file or (0 if mounted else run.disk)
    if largest:
        limit_files(largest)
    if run.powerless:
        drop_power()
    if run.no_exchange:
        filesystem._renameat2 = _no_renameat2
    if run.wait_before or run.read_only:
        name = run.wait_before or "publish"
        meant = getattr(pipeline, name)

        def after_all(*args: Any, **options: Any) -> Any:
            if run.until:
                Event(run.until).wait()
            else:
                barrier.wait(PATIENCE)
            if run.read_only:
                Path(run.read_only).chmod(0o555)
            return meant(*args, **options)

        setattr(pipeline, name, after_all)
    return mounted


def _no_renameat2(*_: object) -> bool:
    return False


if __name__ == "__main__":
    _serve(*sys.argv[1:])
