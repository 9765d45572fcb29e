"""A Hub per test, and the real client in the releases that we support, each in its own interpreter."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.forking import ForkServer
from helpers.hub import WRITER, Hub, Token, client_environment, serve_hub
from helpers.paths import HUB_PYTHONS, SCRIPTS
from helpers.workers import Ask


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve_hub(tmp_path / "state") as served:
        yield served


@functools.cache
def _client(release: str) -> ForkServer:
    """The process to fork a client from, which has imported what that release imports, and not itself."""
    return ForkServer(HUB_PYTHONS[release], [], [[str(SCRIPTS / "needs_of_hub.py")]])


@pytest.fixture(params=sorted(HUB_PYTHONS))
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    """Makes calls with a release of huggingface_hub, one after the other in one process; gives what came of each."""
    assert HUB_PYTHONS[request.param].exists(), "the older huggingface_hub is not installed: run `make hub-env`"

    def calls(
        hub: Hub, *asked: dict[str, Any], token: Token | None = WRITER, home: str = "home", **environment: str
    ) -> list[dict[str, Any]]:
        done = _client(request.param).run(
            SCRIPTS / "hub_client.py", input=json.dumps(asked),
            env=client_environment(hub, tmp_path / home, token, **environment),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["version"].split(".")[0] == request.param
        answers: list[dict[str, Any]] = answer["answers"]
        return answers

    return calls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a push sends it: texts, a small picture, weights, and a file in a folder."""
    made = tmp_path / "folder"
    (made / "more").mkdir(parents=True)
    (made / "README.md").write_text("---\nlicense: mit\ntags:\n- a\n---\n# A model\n")
    (made / "config.json").write_text('{"model_type": "roberta-prelayernorm"}')
    (made / "more" / "notes.txt").write_text("é\n" * 300)
    (made / "parity.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 1000)
    return made
