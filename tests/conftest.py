"""Settings of every test, and conversions that are made once."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers.commands import DRAWN
from helpers.paths import BPE, FIXTURES
from helpers.scripts.drawn_once import draw_once

# The model in other frameworks, which take seconds to import: their tests are slow, and a quick run does not even read them.
OTHER_FRAMEWORKS = [Path(__file__).parent / "model" / framework for framework in ("keras", "flax")]

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing in the tests may load from the Hub
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# What is compiled here runs once or twice: XLA compiles in the way that takes it least, in every process of the tests.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
if "--xla_cpu_use_fusion_emitters" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and what is printed into a pipe would be as wide

# pytest-xdist runs one worker per core; more threads than cores only slow each other down.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Makes a folder for the plots that were drawn, which all processes of this run share."""
    if not hasattr(config, "workerinput"):
        os.environ[DRAWN] = tempfile.mkdtemp(prefix="prenorm-drawn-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(DRAWN), ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One per core, and one more for the slow tests, which wait a fifth of the time: for a server, a disk, a process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + ("not slow" not in config.option.markexpr)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves the other frameworks' tests out of a quick run."""
    return True if collection_path in OTHER_FRAMEWORKS and config.option.markexpr == "not slow" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the other frameworks' tests as slow, and puts them first.

    pytest-xdist hands each worker tests that follow one another, and an idle worker takes the last ones of another's. Those
    that come first stay with one worker, so that one process, not each, compiles what they share.
    """
    for item in items:
        if any(framework in item.path.parents for framework in OTHER_FRAMEWORKS):
            item.add_marker("slow")
    items.sort(key=lambda item: OTHER_FRAMEWORKS[0] not in item.path.parents)
    items.sort(key=lambda item: OTHER_FRAMEWORKS[1] not in item.path.parents)


def pytest_collection() -> None:
    """Imports every test and what it needs, which leaves no garbage worth a search."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leaves what is imported, more than a million objects, out of every later search for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> None:
    """What two conversions plot alike is drawn once. The plots' own tests have imported what draws before this."""
    draw_once(os.environ[DRAWN])


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder that a fixture converts to as a masked LM; each is made once per worker."""
    from prenorm import convert

    made: dict[str, Path] = {}
    base = tmp_path_factory.mktemp("converted")

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = base / name
            convert(FIXTURES / name / "checkpoint.pt", made[name], bpe_dir=BPE, task="masked-lm")
        return made[name]

    return folder
