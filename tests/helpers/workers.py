"""Scripts under other interpreters: JSON in, JSON out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.paths import FAIRSEQ_PYTHON
from helpers.waiting import PATIENCE

Ask = Callable[..., list[dict[str, Any]]]


def run_fairseq(script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under the interpreter that has real fairseq; JSON in, JSON out."""
    assert FAIRSEQ_PYTHON.exists(), "real fairseq is not installed: run `make fairseq-env`"
    return run_worker(FAIRSEQ_PYTHON, script, *arguments, stdin=stdin)


def run_worker(python: Path, script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under another interpreter; JSON in, JSON out."""
    done = subprocess.run(
        [str(python), str(script), *map(str, arguments)],
        input=json.dumps(stdin), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
