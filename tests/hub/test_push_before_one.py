"""huggingface_hub 0.36, which transformers 4.57 needs: it repeats and waits in its own way, and a push works through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.hub import DropBeforeAnswer, Hub
from helpers.hub.pushing import OURS, PushWorker, on_disk, on_hub, publishable
from helpers.paths import ROOT
from prenorm.hub.retries import RetryPolicy

pytestmark = pytest.mark.slow

PATIENCE = RetryPolicy(attempts=3, first_wait=0.01, timeout=20)


def test_a_push_and_its_repetitions(hub: Hub, tmp_path: Path) -> None:
    python = ROOT / ".venv-transformers-4.57" / "bin" / "python"
    worker = PushWorker(python, tmp_path / "worker")
    assert worker.version.startswith("0.")
    folder = publishable(tmp_path / "folder")
    hub.faults.add("commit", DropBeforeAnswer())
    for _ in range(2):
        assert worker.push(folder, "lab/model", hub, policy=PATIENCE)["code"] == 0
    assert not hub.faults.pending()
    assert [commit.title for commit in hub.commits("lab/model")] == [OURS, "initial commit"]
    assert on_hub(hub, "lab/model") == on_disk(folder)
    hub.seed("lab/other", {})
    hub.faults.add("commit", DropBeforeAnswer())
    for _ in range(2):
        assert worker.push(folder, "lab/other", hub, policy=PATIENCE, pull_request=True)["code"] == 0
    assert len(hub.pull_requests("lab/other")) == 1
    refused = worker.push(folder, "nobody/model", hub, policy=PATIENCE)
    assert (refused["code"], "HTTP 403" in refused["sentence"]) == (5, True), refused
    worker.close()
