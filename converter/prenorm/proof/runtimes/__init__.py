"""The runtimes: what can compute a folder, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from prenorm.mapping.targets import Target
from prenorm.options import TaskKind
from prenorm.proof.protocols import Runtime
from prenorm.proof.runtimes.bundled import BundledRuntime
from prenorm.proof.runtimes.transformers import TransformersRuntime

__all__ = ["BUNDLED", "CHOICES", "RUNTIMES", "open_runtime"]

BUNDLED = "bundled"
# To add a runtime is to write a file with one class, and to name it here. Frameworks are imported when a folder is loaded.
RUNTIMES: Mapping[str, Callable[[Path, Target, TaskKind, str], Runtime]] = {
    BUNDLED: BundledRuntime,
    "transformers": TransformersRuntime,
}
# The values of `--runtime`, and what each stands for.
CHOICES: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in RUNTIMES},
    "both": (BUNDLED, "transformers"),
}


def open_runtime(name: str, folder: Path, target: Target, task: TaskKind, compute: str = "float64") -> Runtime:
    """Load a folder.

    Args:
        name: one of `RUNTIMES`.
        folder: config.json and safetensors files.
        target: the architecture that the folder must be of.
        task: what it is for.
        compute: `float64` or `float32`.

    Returns:
        The folder's model, ready to run.

    Raises:
        UsageProblem: if the runtime's framework is not installed.
        ValueError: if the folder does not fit the model, or is of no type that can be compared.
    """
    return RUNTIMES[name](folder, target, task, compute)
