"""The tests' side of pushing: folders that may be published, and a process that pushes them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helpers.paths import ROOT, SCRIPTS, SOURCES
from helpers.waiting import PATIENCE
from prenorm.hub.retries import RetryPolicy

from . import WRITER, Hub, Token, client_environment

CONTENT: Mapping[str, bytes] = {
    "README.md": b"---\nlicense: mit\ntags:\n- a\n---\n# A model\n",
    "config.json": b'{"model_type": "roberta-prelayernorm"}\n',
    "model.safetensors": bytes(range(256)) * 200,
}
OURS = "Model converted and proven by prenorm 0"


def publishable(folder: Path, content: Mapping[str, bytes] = CONTENT, **report: Any) -> Path:
    """A folder with a passed report on just these files, as far as a push reads it; `report` overrides."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    write_report(folder, **report)
    return folder


def write_report(folder: Path, **report: Any) -> None:
    """A passed report on the files that are there."""
    files = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != "parity_report.json"
    ]
    whole = {
        "passed": True,
        "verdict": "passed",
        "environment": {"prenorm": "0"},
        "source": {"sha256": "0" * 64},
        "target": {"files": files},
        "checks": [{"name": "logits", "passed": True}],
        "disagreements": [],
        **report,
    }
    (folder / "parity_report.json").write_text(json.dumps(whole))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def untouched(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What must be the same afterwards: content and time of every file."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def on_hub(hub: Hub, repo: str, revision: str = "main") -> dict[str, bytes]:
    """What the repo holds, without what the Hub put there, or somebody else."""
    files = hub.files(repo, revision)
    return {name: data for name, data in files.items() if name not in (".gitattributes", "theirs.txt")}


class Worker:
    """A process that forks one for every job: `script` says which jobs."""

    def __init__(self, python: Path, scratch: Path, script: str) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self.scratch, self._lock = scratch, threading.Lock()
        self._waiting: dict[int, Future[None]] = {}
        self._process = subprocess.Popen(
            [str(python), str(SCRIPTS / script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=_environment(scratch / "home"),
        )  # fmt: skip
        assert self._process.stdout is not None
        self.version = self._process.stdout.readline().strip()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, **job: Any) -> dict[str, Any]:
        """What comes of a job; `number` is its own."""
        done: Future[None] = Future()
        with self._lock:
            number = len(self._waiting)
            self._waiting[number] = done
            answer = self.scratch / f"{number}.json"
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({**job, "number": number, "answer": str(answer)}) + "\n")
            self._process.stdin.flush()
        done.result(timeout=PATIENCE)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._waiting[int(line)].set_result(None)


class PushWorker(Worker):
    """Pushes, without a command line around them."""

    def __init__(self, python: Path, scratch: Path) -> None:
        super().__init__(python, scratch, "push_worker.py")

    def push(
        self, folder: Path, repo: str, hub: Hub, *, policy: RetryPolicy, token: Token = WRITER, **options: Any
    ) -> dict[str, Any]:
        """Pushes, and waits for what comes of it: `code`, `result` or `sentence`, and `warnings`."""
        return self.ask(
            folder=str(folder), repo=repo, endpoint=hub.endpoint, token=token.secret, policy=asdict(policy),
            options=options,
        )  # fmt: skip


def _environment(home: Path) -> dict[str, str]:
    class _NoHub:
        endpoint = "http://127.0.0.1:9"

    return client_environment(_NoHub(), home, None, PYTHONPATH=SOURCES, OMP_NUM_THREADS="1")  # type: ignore[arg-type]
