"""Scripts under other interpreters: JSON in, JSON out."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.forking import ForkServer
from helpers.paths import FAIRSEQ_PYTHON, OLD_TRANSFORMERS_PYTHON, SOURCES
from helpers.waiting import PATIENCE

Ask = Callable[..., list[dict[str, Any]]]
# Where other frameworks are installed, transformers 4 imports them too, which takes it as long as all the rest.
_TORCH_ALONE = {"USE_TORCH": "1", "USE_TF": "0", "USE_FLAX": "0"}


def run_fairseq(script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under the interpreter that has real fairseq; JSON in, JSON out."""
    assert FAIRSEQ_PYTHON.exists(), "real fairseq is not installed: run `make fairseq-env`"
    return run_worker(FAIRSEQ_PYTHON, script, *arguments, stdin=stdin)


def run_worker(python: Path, script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under another interpreter; JSON in, JSON out."""
    done = subprocess.run(
        [str(python), str(script), *map(str, arguments)],
        input=json.dumps(stdin), capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, **_TORCH_ALONE},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_old_transformers(script: Path, *arguments: str | Path, stdin: object = None) -> Any:
    """Runs `script` under transformers 4.57, forked from a process that has imported it; JSON in, JSON out."""
    done = old_transformers().run(script, *arguments, input=json.dumps(stdin))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def old_transformers() -> ForkServer:
    """The process to fork from; it finds our sources too."""
    assert OLD_TRANSFORMERS_PYTHON.exists(), "transformers 4.57 is not installed: run `make test`"
    modules = ["transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto"]
    modules += [f"transformers.models.{name}.modeling_{name}" for name in ("roberta_prelayernorm", "xlm_roberta_xl")]
    return ForkServer(OLD_TRANSFORMERS_PYTHON, modules, PYTHONPATH=SOURCES, **_TORCH_ALONE)
