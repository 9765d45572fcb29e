"""One process with real fairseq for all these tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from helpers.paths import FAIRSEQ_PYTHON, SCRIPTS
from helpers.waiting import PATIENCE

Fairseq = Callable[..., Any]


@pytest.fixture(scope="session")
def fairseq() -> Iterator[Fairseq]:
    """Asks it: `fairseq("encode", name=..., texts=...)`."""
    assert FAIRSEQ_PYTHON.exists(), "real fairseq is not installed: run `make fairseq-env`"
    script = SCRIPTS / "fairseq_tokenizer.py"
    process = subprocess.Popen(
        [str(FAIRSEQ_PYTHON), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdin is not None and process.stdout is not None

    def ask(do: str, **request: object) -> Any:
        process.stdin.write(json.dumps({"do": do, **request}) + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        answer = process.stdout.readline()  # type: ignore[union-attr]
        assert answer, f"fairseq ended over {do}"
        return json.loads(answer)

    yield ask
    process.stdin.close()
    process.wait(timeout=PATIENCE)
