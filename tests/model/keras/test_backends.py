"""Keras' other backends: the same tests, in a process each, for a process has one backend."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FILES = [str(Path(__file__).parent / name) for name in ("test_against_torch.py", "test_use.py")]
# JAX compiles every operation for every shape, which takes its time: of each kind one there, and of all classes the outputs.
CHOICES = {
    "jax": "every_class or cache or functional or exported or (metrics or cannot) or "
    "((gradients or fit_takes or keras_file) and Masked) or (same and True)",
    "torch": "",
}


@pytest.mark.parametrize(("backend", "fewest"), [("jax", 18), ("torch", 60)])
def test_another_backend_computes_the_same(backend: str, fewest: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", CHOICES[backend], *FILES],
        env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= fewest
