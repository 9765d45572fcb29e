"""Faults of the Keras and the Flax model themselves: what `verify` sees of each, in each runtime.

What the faults do is in `helpers.keras_faults` and `helpers.flax_faults`, which import the models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import pytest

from helpers.kill_table import RUNTIMES, SOURCES, VARIANTS
from helpers.planted_faults import Plant, patch
from prenorm import convert
from prenorm.commands.verify import verify
from prenorm.reports.model import Report

_MODULES = dict(zip(RUNTIMES, ("helpers.keras_faults", "helpers.flax_faults"), strict=True))
_LM, _HEADED = ("masked-lm",), ("classification", "choice")
# The folders in which each fault is tried.
KINDS: dict[str, tuple[str, ...]] = {
    "epsilon wrong in one module": _LM,
    "tanh GELU": _LM,
    "tanh GELU in the LM head": _LM,
    "mask ignored": _LM,
    "pads attended to": _LM,
    "scores not scaled": _LM,
    "softmax in float32": _LM,
    "heads interleaved": _LM,
    "q and k swapped in one layer": _LM,
    "positions start at the pad": _LM,
    "residual from behind the norm": _LM,
    "norm behind the block": _LM,
    "the two norms of a layer swapped": _LM,
    "two layers swapped": _LM,
    "norm after the embeddings left out": _LM,
    "final norm left out": ("masked-lm", "xl"),
    "LM-head norm left out": _LM,
    "LM-head bias left out": _LM,
    "dropout left on": _LM,
    "tokens in other places, where pads are left out": _LM,
    "tanh of the head left out": _HEADED,
    "head of the last token": _HEADED,
}


def around(owner: Any, name: str, wrong: Callable[..., Any]) -> Plant:
    """A function gets the right one as its first argument."""
    right = getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        return wrong(right, *args, **options)

    return patch(owner, name, call)


def together(*plants: Plant) -> Plant:
    """Several places are wrong at once."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(monkeypatch)

    return plant


def faults_of(runtime: str) -> Mapping[str, Plant]:
    """What each fault does in a runtime."""
    found: Mapping[str, Plant] = import_module(_MODULES[runtime]).FAULTS
    assert list(found) == list(KINDS)
    return found


def sound_folders(scratch: Path) -> dict[str, Path]:
    """A folder of each kind."""
    return {
        kind: Path(convert(VARIANTS / name / "checkpoint.pt", scratch / kind, **options).output)  # type: ignore[arg-type]
        for kind, (name, options) in SOURCES.items()
    }


def judged(kind: str, folder: Path, runtime: str) -> Report:
    """The verdict on a folder of a kind."""
    name, options = SOURCES[kind]
    return verify(VARIANTS / name / "checkpoint.pt", folder, runtime=runtime, **options)


def cell(report: Report, runtime: str) -> str:
    """The checks that failed, by the names that the bundled model's have."""
    return ", ".join(sorted(check.name.removesuffix(f" ({runtime})") for check in report.checks if not check.passed))


def cells_of(runtime: str, folders: Mapping[str, Path]) -> dict[tuple[str, str], str]:
    """What becomes of every fault in every kind of folder."""
    found = {}
    for name, plant in faults_of(runtime).items():
        for kind in KINDS[name]:
            with pytest.MonkeyPatch.context() as monkeypatch, quickly_compiled():
                plant(monkeypatch)
                found[name, kind] = cell(judged(kind, folders[kind], runtime), runtime)
    return found


@contextmanager
def quickly_compiled() -> Iterator[None]:
    """To compile is what JAX does most of the time, where each operation runs a few times."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
