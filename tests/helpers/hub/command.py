"""The real command line against the loopback Hub."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.commands import run_changed
from helpers.paths import PRENORM

from . import WRITER, Hub, Token, client_environment


def environment(hub: Hub, home: Path, token: Token | None = WRITER, **more: str) -> dict[str, str]:
    """Where the command finds the Hub, and nothing else."""
    return client_environment(hub, home, token, OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", **more)


def prenorm(
    hub: Hub,
    home: Path,
    *arguments: str | Path,
    token: Token | None = WRITER,
    cwd: Path | None = None,
    changed: Mapping[str, object] | None = None,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end. Whatever it prints holds no token and no signed address.

    Args:
        hub: whose address it has.
        home: where it has its cache and its login.
        *arguments: its words.
        token: its login.
        cwd: where it runs.
        changed: as of `run_changed`.
        **more: its environment, besides.
    """
    done = run_changed(changed or {}, *arguments, env=environment(hub, home, token, **more), cwd=cwd)
    tell_no_secrets(done.stdout + done.stderr, *([token] if token else []))
    return done


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
