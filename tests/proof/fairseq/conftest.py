"""Real fairseq in a process of its own, and a place for temporary files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.paths import FAIRSEQ_PYTHON
from prenorm.proof.references.fairseq.process import FairseqWorker


@pytest.fixture(scope="session")
def worker() -> Iterator[FairseqWorker]:
    """One process for all tests; fairseq takes seconds to import."""
    assert FAIRSEQ_PYTHON.exists(), "real fairseq is not installed: run `make fairseq-env`"
    with FairseqWorker(FAIRSEQ_PYTHON) as running:
        yield running


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go in this test; nothing may be left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
