"""One worker: a process that imports torch once and converts the members that it is told, one after the other.

    python -m prenorm.commands.run.worker OUTPUT LANGUAGE

It reads a member's name on each line of stdin, and writes JSON lines on stdout: what it is doing, and the member's record in
the end. It ends when stdin does, whatever it is doing then: whoever started it is gone.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import msgspec

from prenorm.commands.run.member import convert_member
from prenorm.commands.run.plan import RunPlan, read_plan
from prenorm.commands.run.state import MemberRecord
from prenorm.mapping.understood import TokenizerChoices
from prenorm.options.language import Language, speaking

_GRACE = 10.0  # seconds that a conversion gets to clear up
_PAUSE = 0.1  # seconds between two lines about the same stage


class Stopped(BaseException):
    """The worker was told to end; like KeyboardInterrupt it is no `Exception`."""


class WorkerLine(msgspec.Struct, omit_defaults=True):
    """What a worker says: one thing at a time."""

    ready: bool = False
    stage: str | None = None
    total: int = 0
    advance: int = 0
    warning: str | None = None
    record: MemberRecord | None = None


class PipedProgress:
    """A `Progress` that is written as lines, not more of them than anybody can see."""

    def __init__(self, pipe: BinaryIO) -> None:
        """Keep the pipe.

        Args:
            pipe: where to.
        """
        self._pipe = pipe
        self._steps, self._last = 0, 0.0

    def say(self, line: WorkerLine) -> None:
        """Write a line.

        Args:
            line: what is said.
        """
        self._pipe.write(msgspec.json.encode(line) + b"\n")
        self._pipe.flush()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage.

        Args:
            name: what it does.
            total: its steps.
        """
        self._steps = 0
        self.say(WorkerLine(stage=name, total=total))

    def advance(self, steps: int) -> None:
        """Count steps, and say so now and then.

        Args:
            steps: how many more.
        """
        self._steps += steps
        now = time.monotonic()
        if now - self._last >= _PAUSE:
            self.say(WorkerLine(advance=self._steps))
            self._steps, self._last = 0, now

    def warn(self, text: str) -> None:
        """Hand a warning on.

        Args:
            text: one sentence.
        """
        self.say(WorkerLine(warning=text))


def main(arguments: list[str]) -> None:
    """Convert until stdin ends.

    Args:
        arguments: the run's folder, and the language of sentences.
    """
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no line of ours
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us, who stops us in order
    signal.signal(signal.SIGTERM, _stop)
    output, language = Path(arguments[0]), Language(arguments[1])
    plan = read_plan(output)
    assert plan is not None
    try:
        with speaking(language):
            _work(plan, output, PipedProgress(pipe))
    except (Stopped, BrokenPipeError):
        os._exit(1)  # staging folders are removed; nothing else is worth the time


def _work(plan: RunPlan, output: Path, progress: PipedProgress) -> None:
    _import(plan.threads)
    names: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(names,), daemon=True).start()
    progress.say(WorkerLine(ready=True))
    choices: TokenizerChoices = {}
    while (name := names.get()) is not None:
        progress.say(WorkerLine(record=convert_member(plan, plan.member(name), output, progress, choices)))


def _import(threads: int) -> None:
    """Import now what every conversion needs, and divide the cores."""
    import torch

    import prenorm.reports.plots  # noqa: F401

    torch.set_num_threads(threads)


def _listen(names: queue.SimpleQueue[str | None]) -> None:
    """Hand on what stdin says. Once it ends, so does the process: in order, or after a while without any."""
    for line in sys.stdin:
        names.put(line.rstrip("\n"))
    names.put(None)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # clearing up is not interrupted
    raise Stopped


if __name__ == "__main__":
    main(sys.argv[1:])
