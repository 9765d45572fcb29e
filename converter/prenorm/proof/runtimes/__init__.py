"""The runtimes: what can compute a folder, by name."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from prenorm.errors import UsageProblem
from prenorm.mapping.targets import Target
from prenorm.options import TaskKind
from prenorm.options.spoken import spoken
from prenorm.proof.protocols import Array, Ids, OnStage, Runtime
from prenorm.proof.runtimes.bundled import BundledRuntime
from prenorm.proof.runtimes.flax import FlaxRuntime
from prenorm.proof.runtimes.tensorflow import TensorFlowRuntime
from prenorm.proof.runtimes.transformers import TransformersRuntime

__all__ = ["BUNDLED", "CHOICES", "NEEDS", "RUNTIMES", "FormerRuntime", "open_runtime", "require_installed"]

BUNDLED = "bundled"
# To add a runtime is to write a file with one class, and to name it here. Frameworks are imported when a folder is loaded.
RUNTIMES: Mapping[str, Callable[[Path, Target, TaskKind, str], Runtime]] = {
    BUNDLED: BundledRuntime,
    "transformers": TransformersRuntime,
    "tensorflow": TensorFlowRuntime,
    "flax": FlaxRuntime,
}
# The values of `--runtime`, and what each stands for.
CHOICES: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in RUNTIMES},
    "both": (BUNDLED, "transformers"),
    "all": tuple(RUNTIMES),
}


@dataclass
class FormerRuntime:
    """What is left of a runtime that has computed everything: its model, a whole one in float64, is needed no more.

    Attributes:
        name: what the report calls it.
    """

    name: str

    def run(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> Array:
        """Refuse to compute.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: not called.

        Returns:
            Nothing.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"the model of {self.name} has left memory")


@dataclass(frozen=True)
class Needed:
    """What a runtime needs besides what prenorm does.

    Attributes:
        modules: what is imported, by the packages' names.
        extra: prenorm's extra that installs them.
    """

    modules: tuple[str, ...]
    extra: str


NEEDS: Mapping[str, Needed] = {
    "transformers": Needed(("transformers",), "fitness"),
    "tensorflow": Needed(("tensorflow", "keras", "h5py"), "tensorflow"),
    "flax": Needed(("jax", "flax", "msgpack"), "flax"),
}


def require_installed(names: Sequence[str]) -> None:
    """Refuse runtimes that cannot be imported, before anything is computed.

    Args:
        names: runtimes.

    Raises:
        UsageProblem: naming everything that is not installed, and what installs it.
    """
    missing = {
        name: [module for module in NEEDS[name].modules if find_spec(module) is None] for name in names if name in NEEDS
    }
    lacking = [name for name in missing if missing[name]]
    if not lacking:
        return
    modules = [module for name in lacking for module in missing[name]]
    needs, are = ("needs" if len(lacking) == 1 else "need"), ("is" if len(modules) == 1 else "are")
    raise UsageProblem(
        f"{_listed([spoken('runtime', name) for name in lacking])} {needs} {_listed(modules)}, which {are} not installed",
        advice=f'Install it, in the clone of prenorm: pip install ".[{",".join(NEEDS[name].extra for name in lacking)}]"',
    )


def _listed(words: Sequence[str]) -> str:
    """Return words as a sentence names them."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


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
        UsageProblem: if the runtime's framework is not installed, or has no model of the architecture.
        ValueError: if the folder does not fit the model, or is of no type that can be compared.
    """
    require_installed([name])
    if name in NEEDS:  # whose models fill memory: that of a former one refers to itself, and stays until somebody looks
        gc.collect()
    return RUNTIMES[name](folder, target, task, compute)
