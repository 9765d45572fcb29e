"""The process that runs the worker under another interpreter: started, asked, timed, and always ended.

What it says is not trusted: lines are bounded, those without the mark are fairseq's chatter, and silence has a limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from prenorm.errors import UsageProblem
from prenorm.options.spoken import spoken

_WORKER = Path(__file__).with_name("worker")
_NAME = "prenorm_worker"  # of the copy
_MARK = b"@prenorm "
_MOST_LINE = 4 << 20
_MOST_CHATTER = 1 << 20  # bytes on stdout that are no answers
_MOST_PROBLEMS = 20
# What an interpreter may need to find itself, its packages and a place for temporary files. Nothing else is passed on:
# no tokens, no proxies.
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE", "APPDATA",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "VIRTUAL_ENV",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip
_SET = {
    "CUDA_VISIBLE_DEVICES": "",  # the processor alone: fairseq would take apex's float32 norms on a GPU
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8",
}


def _advice() -> str:
    leave = f"leave {spoken('reference', 'fairseq')} out"
    return f"Give {spoken('fairseq_python')} a Python that can import fairseq 0.12 and torch, or {leave}"


class FairseqRefused(UsageProblem):
    """The other interpreter runs, but its fairseq cannot do what was asked. `kind` says which step failed."""

    def __init__(self, kind: str, cause: str, **fields: Any) -> None:
        super().__init__(cause, **fields)
        self.kind = kind


class FairseqWorker:
    """A running worker. Use it as a context manager: leaving ends the process and removes its files.

    `environment` has the versions of its `python`, `torch`, `numpy` and `fairseq`; `folder` is where files are exchanged;
    `loaded` is whose model it holds.
    """

    def __init__(
        self,
        python: str | Path,
        *,
        start_seconds: float = 300.0,
        answer_seconds: float = 1800.0,
        worker: Path = _WORKER,
    ) -> None:
        """Start the interpreter, and wait until it has imported fairseq.

        Args:
            python: the interpreter, as a path or a command.
            start_seconds: how long starting and importing may take.
            answer_seconds: how long the worker may be silent at work; a stage of a large model takes seconds.
            worker: the package, or the file, that the interpreter runs; a copy of it.

        Raises:
            UsageProblem: if it cannot be started, has no fairseq, or ends or stays silent.
        """
        self.python = str(python)
        self._seconds = answer_seconds
        self._busy = False
        self.loaded: object = None
        self._ended = threading.Event()
        self._scratch = tempfile.TemporaryDirectory(prefix="prenorm-fairseq-", ignore_cleanup_errors=True)
        self.folder = Path(self._scratch.name)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = self._start(worker)
            self._lines: queue.Queue[bytes | None] = queue.Queue(maxsize=64)
            self._last_words = b""
            for read in (self._read_answers, self._read_complaints):
                threading.Thread(target=read, args=(self._process,), daemon=True).start()
            self.environment: Mapping[str, str] = _done(self._answer(start_seconds))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> FairseqWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def call(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Ask for something that has one answer.

        Args:
            request: the request, which JSON can hold.

        Returns:
            The answer.

        Raises:
            FairseqRefused: if fairseq cannot do it.
            UsageProblem: if the process ends, stays silent, or answers nonsense.
        """
        return _done(next(self.ask(request)))

    def ask(self, request: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """Ask for something that has several answers.

        Args:
            request: the request, which JSON can hold.

        Yields:
            The answers as they come; the last has the key `done`.

        Raises:
            FairseqRefused: if fairseq cannot do it.
            UsageProblem: if the process ends, stays silent, or answers nonsense.
        """
        self.finish()
        self._send(request)
        self._busy = True
        while self._busy:
            answer = self._answer(self._seconds)
            self._busy = "stage" in answer
            yield answer

    def finish(self) -> None:
        """Wait for the answers to an earlier question that nobody waited for.

        Raises:
            FairseqRefused: if fairseq could not do what was asked.
            UsageProblem: if the process ends, stays silent, or answers nonsense.
        """
        while self._busy:
            self._busy = "stage" in self._answer(self._seconds)

    def close(self) -> None:
        """End the process, and whatever it started, and remove its files."""
        self._ended.set()
        process = self._process
        if process is not None:
            _kill(process)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):  # an unsent request, to a process that is gone
                        stream.close()
        self._scratch.cleanup()

    def _start(self, worker: Path) -> subprocess.Popen[bytes]:
        command = shutil.which(self.python) if Path(self.python).name == self.python else None
        # A copy, because Python looks for modules where it starts, and ours are none of fairseq's business.
        if worker.is_dir():
            shutil.copytree(worker, self.folder / _NAME, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(worker, self.folder / f"{_NAME}.py")
        # Absolute, since the process starts in another folder; not resolved, since a virtual environment's is a link.
        program = [command or str(Path(self.python).absolute()), "-m", _NAME]
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            return subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
                env={**environment, **_SET}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise UsageProblem(
                f"this interpreter cannot be started ({error.strerror})", subject=self.python, advice=_advice()
            ) from error

    def _send(self, request: Mapping[str, object]) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise self._gone() from error

    def _answer(self, seconds: float) -> dict[str, Any]:
        """Return the next answer, or raise what it reports or what went wrong with the process."""
        deadline = time.monotonic() + seconds
        chatter = 0
        while chatter <= _MOST_CHATTER:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise self._failed(f"gave no answer for {seconds:g} seconds, and was ended") from None
            if line is None:
                raise self._gone()
            if line.startswith(_MARK):
                return self._parse(line)
            chatter += len(line)
        raise self._failed("wrote much, but no answer; is it a Python?")

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line[len(_MARK) :])
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not answer.keys() & {"done", "stage", "error"}:
            raise self._failed("gave an answer that is none")
        if "error" in answer:
            self._busy = False
            raise self._refused(answer)
        return answer

    def _refused(self, answer: Mapping[str, Any]) -> FairseqRefused:
        kind, message = str(answer["error"]), _plain(str(answer.get("message")))
        if kind == "import":
            return FairseqRefused(kind, f"cannot import fairseq ({message})", subject=self.python, advice=_advice())
        version = self.environment.get("fairseq", "")
        problems = [_plain(str(problem)) for problem in answer.get("problems", ())][:_MOST_PROBLEMS]
        return FairseqRefused(
            kind, f"fairseq {version} cannot compute this checkpoint: {message}", subject=self.python, problems=problems,
            advice=_advice() + (":" if problems else ""),
        )  # fmt: skip

    def _gone(self) -> UsageProblem:
        """Return the error for a process that has closed its output."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            return self._failed("closed its output, and was ended")
        if code < 0:
            known = code in {-number for number in signal.Signals}
            name = signal.Signals(-code).name if known else str(-code)
            return self._failed(f"was killed by {name}" + (", perhaps for memory" if name == "SIGKILL" else ""))
        return self._failed(f"ended with exit code {code} before it answered")

    def _failed(self, what: str) -> UsageProblem:
        self.close()
        lines = self._last_words.decode("utf-8", "replace").strip().splitlines()
        last_words = f"; its last words: {_plain(lines[-1])}" if lines else ""
        return UsageProblem(f"the interpreter for fairseq {what}{last_words}", subject=self.python, advice=_advice())

    def _read_answers(self, process: subprocess.Popen[bytes]) -> None:
        """Pass lines on, and None at the end; the full queue holds back a process that writes without end."""
        for line in _lines(process.stdout):
            self._put(line)
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        while not self._ended.is_set():
            try:
                self._lines.put(line, timeout=1)
            except queue.Full:
                continue
            break

    def _read_complaints(self, process: subprocess.Popen[bytes]) -> None:
        for line in _lines(process.stderr):
            self._last_words = (self._last_words + line)[-4096:]


def _done(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of the last answer."""
    content = answer.get("done")
    return dict(content) if isinstance(content, dict) else {}


def _lines(stream: IO[bytes] | None) -> Iterator[bytes]:
    assert stream is not None
    with contextlib.suppress(OSError, ValueError):  # closed while it was read: `close` was called
        while line := stream.readline(_MOST_LINE):
            yield line


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children; it holds nothing that needs saving."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    process.wait()


def _plain(text: str) -> str:
    """Return one printable line of a message, with the folders of paths left out."""
    text = re.sub(r"(['\"])[^'\"\n]*[\\/]([^'\"\\/\n]*)\1", r"\1\2\1", text)
    text = re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\s'\":,;()\\/]+[\\/])+", "", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[:300]
