"""Models without hooks: what their modules return is passed on by name, and becomes the stages of the proof."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prenorm.errors import UsageProblem
from prenorm.mapping.targets import Target
from prenorm.mapping.targets.target import HEAD_STAGE, StageModules
from prenorm.options import TaskKind
from prenorm.options.spoken import spoken
from prenorm.proof.protocols import Array, Ids, OnStage

# From how many pads on a model leaves them out, in the proof. The probe's batch of many pads has more of them even with a
# short position table, that of few pads has fewer: both ways are seen.
MIN_PADS = 32


class ObservedModel:
    """What a model's modules return, as stages in the order of computation.

    `note` takes in the modules' outputs; a stage is passed on with its parts when its own module returns.
    """

    def __init__(self, modules: StageModules, task: TaskKind, layers: int) -> None:
        """List the modules that compute stages and their parts.

        Args:
            modules: where the model computes each stage.
            task: what the folder is for.
            layers: the number of layers.
        """
        base = "" if task is TaskKind.ENCODER else modules.base
        numbered = [f"layers.{n}" for n in range(layers)]
        self._places = {
            modules.path(stage, base=base): (stage, "out") for stage in ("embeddings", *numbered, "layer_norm")
        }
        self._places |= {modules.path(stage, part, base): (stage, part) for stage in numbered for part in modules.parts}
        if (head := modules.head(task)) is not None:
            self._places[head] = (HEAD_STAGE, "out")
        self._real: NDArray[np.bool_] = np.empty((0, 0), bool)
        self._parts: dict[str, Array] = {}
        self._on_stage: OnStage = lambda stage, parts: None

    def begin(self, attention_mask: Ids, on_stage: OnStage) -> None:
        """Prepare for a batch.

        Args:
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as soon as its module returns.
        """
        self._real, self._on_stage, self._parts = attention_mask != 0, on_stage, {}

    def note(self, path: str, value: Any) -> None:
        """Take in what a module returned.

        Args:
            path: the module's.
            value: of a module that computes a stage or a part of it, an array of any framework: [batch, length, width];
                [tokens, width] of all tokens; or of the real ones, row by row, whatever is behind them. Of a head
                [batch, width].
        """
        stage, part = self._places.get(path, ("", ""))
        if not stage:
            return
        array = np.asarray(value)
        self._parts[part] = array if stage == HEAD_STAGE else self._padded(array)
        if part == "out":
            kept, self._parts = self._parts, {}
            self._on_stage(stage, kept)

    def _padded(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values as [batch, length, width], zero at pads that were left out."""
        width = values.shape[-1]
        flat = values.reshape(-1, width)
        if len(flat) == self._real.size:
            return flat.reshape(*self._real.shape, width)
        padded = np.zeros((*self._real.shape, width), values.dtype)
        padded[self._real] = flat[: int(self._real.sum())]
        return padded


def modules_of(target: Target, runtime: str) -> StageModules:
    """Return where the model of a runtime computes each stage.

    Args:
        target: the architecture.
        runtime: the runtime's name.

    Returns:
        The places.

    Raises:
        UsageProblem: if the architecture has no model in that runtime.
    """
    if runtime not in target.modules:
        raise UsageProblem(
            f"{spoken('runtime', runtime)} has no model of the architecture {target.model_type}",
            advice=f"Choose among {', '.join(sorted(target.modules))}",
        )
    return target.modules[runtime]


def refuse_fresh(model: str, missing: set[str], task: TaskKind) -> None:
    """Refuse a model that has weights of its own in place of the folder's.

    Args:
        model: the name of its class.
        missing: its parameters that are not in the folder.
        task: what the folder is for; without a head, nothing that is compared goes through a pooler.

    Raises:
        ValueError: naming the parameters.
    """
    unfit = sorted(name for name in missing if not (task is TaskKind.ENCODER and name.startswith("pooler.")))
    if unfit:
        raise ValueError(f"{model} does not load whole (missing_keys: {', '.join(unfit[:5])})")


def result_of(output: Any, task: TaskKind) -> NDArray[Any]:
    """Return what a runtime returns of a batch.

    Args:
        output: the model's output object, of any framework.
        task: what the folder is for.

    Returns:
        What `prenorm.proof.protocols.Runtime.run` returns, of numpy.
    """
    array = np.asarray(output.last_hidden_state if task is TaskKind.ENCODER else output.logits)
    return array.T if task is TaskKind.MULTIPLE_CHOICE else array
