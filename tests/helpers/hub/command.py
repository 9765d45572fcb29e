"""The real command line against the loopback Hub."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.commands import run_command
from helpers.paths import PRENORM, ROOT

from . import WRITER, Hub, Token, client_environment
from .pushing import Worker


def environment(hub: Hub, home: Path, token: Token | None = WRITER, **more: str) -> dict[str, str]:
    """Where the command finds the Hub, and nothing else."""
    return client_environment(hub, home, token, OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", **more)


def prenorm(
    hub: Hub, home: Path, *arguments: str | Path, token: Token | None = WRITER, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end. Whatever it prints holds no token and no signed address."""
    done = run_command(*arguments, env=environment(hub, home, token, **more))
    tell_no_secrets(done.stdout + done.stderr, *([token] if token else []))
    return done


class CommandWorker(Worker):
    """Commands that need torch, which is imported once."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(Path(sys.executable), scratch, "command_worker.py")

    def run(
        self,
        hub: Hub,
        home: Path,
        *arguments: str | Path,
        token: Token | None = WRITER,
        folder: Path = ROOT,
        changed: Mapping[str, object] | None = None,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """As `prenorm` below, in a folder; `changed` says what modules hold instead of their own, by dotted names."""
        outputs = [Path(tempfile.mkstemp(dir=self.scratch)[1]) for _ in range(2)]
        ours = {
            name: value for name, value in environment(hub, home, token, **more).items() if name[:2] in ("HF", "NO")
        }
        code = self.ask(
            arguments=[*map(str, arguments)], environment=ours, stdout=str(outputs[0]), stderr=str(outputs[1]),
            folder=str(folder), changed=dict(changed or {}),
        )["code"]  # fmt: skip
        texts = [path.read_text() for path in outputs]
        tell_no_secrets("".join(texts), *([token] if token else []))
        return subprocess.CompletedProcess([*map(str, arguments)], code, *texts)


def tell_no_secrets(text: str, *tokens: Token) -> None:
    for secret in ("signature=", *(token.secret for token in (WRITER, *tokens))):
        assert secret not in text, text


def starts(hub: Hub, home: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Starts the command; SIGINT reaches it even where this process ignores it."""
    import signal

    def listen() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        [PRENORM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(hub, home), preexec_fn=listen, **options,
    )  # fmt: skip
