"""Interpreters that fail, and workers that fail at work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.fairseq import IDS, WORKER, told, understood
from helpers.paths import MLM
from helpers.waiting import wait_until
from prenorm.errors import UsageProblem
from prenorm.proof.references.fairseq.process import FairseqWorker
from prenorm.proof.references.fairseq.reference import FairseqReference

pytestmark = pytest.mark.slow


def program(path: Path, *lines: str) -> Path:
    """A shell script in place of an interpreter."""
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return path


def fails(python: str | Path, **options: Any) -> UsageProblem:
    with pytest.raises(UsageProblem) as raised:
        FairseqWorker(python, **options)
    assert raised.value.exit_code == 2
    assert raised.value.subject == str(python)
    assert "fairseq_python" in raised.value.advice
    return raised.value


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("/bin/false", "ended with exit code 1 before it answered"),
        ("/nowhere/bin/python", "cannot be started (No such file or directory)"),
        ("no-such-command", "cannot be started (No such file or directory)"),
        ("/tmp", "cannot be started (Permission denied)"),
    ],
)
def test_what_is_no_interpreter_with_fairseq(python: str, said: str, scratch: Path) -> None:
    assert said in fails(python).cause


def test_a_python_without_fairseq_finds_no_other_beside_the_worker(tmp_path: Path, scratch: Path) -> None:
    script = tmp_path / WORKER.name
    shutil.copytree(WORKER, script)
    for folder in (tmp_path, script):
        (folder / "fairseq.py").write_text("__version__ = 'none'\n")
    error = fails(sys.executable, worker=script)
    assert "cannot import fairseq (ModuleNotFoundError: No module named 'fairseq')" in error.cause


def test_nothing_is_left_behind_when_we_are_killed(tmp_path: Path) -> None:
    """The worker notices, and removes the files. Its fairseq is an empty one, which imports faster."""
    for name in ("fairseq", "fairseq/models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "fairseq" / "models" / "roberta.py").write_text("")
    script = (
        "import os, signal, sys\n"
        "from prenorm.proof.references.fairseq.process import FairseqWorker\n"
        "worker = FairseqWorker(sys.executable)\n"
        "print(worker.folder, worker._process.pid, flush=True)\n"
        "(worker.folder / 'tensors.safetensors').write_bytes(b'weights')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    folder, process = done.stdout.split()
    assert done.returncode == -9
    assert Path(folder).parent == tmp_path
    gone = (Path(folder), Path("/proc", process))
    wait_until(lambda: not any(path.exists() for path in gone), "the end of the worker and its files")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_silent_interpreter_is_ended_with_its_children(tmp_path: Path, scratch: Path) -> None:
    note = tmp_path / "child"
    sleeper = program(tmp_path / "python", "sleep 6000 &", f"echo $! > {note}", "wait")
    assert "gave no answer for 3 seconds" in fails(sleeper, start_seconds=3).cause
    child = int(note.read_text())
    wait_until(lambda: not _lives(child), "the end of the child")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["while :; do echo nonsense nonsense nonsense; done"], "wrote much, but no answer"),
        (["head -c 20000000 /dev/zero"], "wrote much, but no answer"),
        (["echo '@prenorm [1, 2'", "sleep 600"], "gave an answer that is none"),
        (["echo '@prenorm [1, 2]'", "sleep 600"], "gave an answer that is none"),
        (["kill -9 $$"], "was killed by SIGKILL, perhaps for memory"),
        (
            ["echo 'File \"/home/somebody/x y/site.py\", /opt/secret/lib.so: bad' >&2", "exit 3"],
            'ended with exit code 3 before it answered; its last words: File "site.py", lib.so: bad',
        ),
        (["exec >&-", "exec 2>&-", "sleep 600"], "closed its output, and was ended"),
    ],
)
def test_nonsense_is_an_error(lines: list[str], said: str, tmp_path: Path, scratch: Path) -> None:
    assert said in fails(program(tmp_path / "python", *lines), start_seconds=500).cause


HELLO = "import sys, json, time, os, signal\nprint('@prenorm ' + json.dumps({'done': dict(os.environ)}), flush=True)\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("time.sleep(600)", "gave no answer for 2 seconds"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("print('@prenorm nonsense', flush=True); time.sleep(600)", "gave an answer that is none"),
        ("sys.exit('no memory in /usr/lib/libc.so')", "exit code 1 before it answered; its last words: no memory in libc.so"),
    ],
)  # fmt: skip
def test_a_worker_that_fails_at_work(body: str, said: str, tmp_path: Path, scratch: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(f"{HELLO}for line in sys.stdin:\n    {body}\n")
    with (
        FairseqWorker(sys.executable, worker=script, answer_seconds=2 if "no answer" in said else 500) as worker,
        pytest.raises(UsageProblem) as raised,
    ):
        worker.call({"do": "load"})
    assert said in raised.value.cause
    assert raised.value.exit_code == 2


def test_activations_that_do_not_fit_are_an_error(tmp_path: Path, scratch: Path) -> None:
    answers = [
        {"done": {"used": [], "classes": [], "warnings": []}},
        {"stage": "embeddings", "file": "0.safetensors", "noise": {}},
    ]
    script = tmp_path / "worker.py"
    script.write_text(
        f"{HELLO}answers = {answers!r}\nfor line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if request['do'] == 'run':\n"
        "        open(request['folder'] + '/0.safetensors', 'wb').write(b'nonsense')\n"
        "    print('@prenorm ' + json.dumps(answers.pop(0)), flush=True)\n"
    )
    with FairseqWorker(sys.executable, worker=script) as worker:
        reference = FairseqReference(worker, told(understood(MLM)))
        with pytest.raises(UsageProblem, match="answer for embeddings is none that can be compared"):
            next(reference.stages(IDS))


def test_tokens_do_not_reach_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://somewhere")
    script = tmp_path / "worker.py"
    script.write_text(HELLO)
    with FairseqWorker(sys.executable, worker=script) as worker:
        assert worker.environment["PATH"] == os.environ["PATH"]
        assert "HF_TOKEN" not in worker.environment
        assert "HTTPS_PROXY" not in worker.environment
        assert worker.environment["CUDA_VISIBLE_DEVICES"] == ""
