"""The folder in `prenorm_model`'s Flax classes, by JAX in float64, which is set for the proof alone."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prenorm.errors import UsageProblem
from prenorm.mapping.targets import Target
from prenorm.options import TaskKind
from prenorm.options.spoken import spoken
from prenorm.proof.protocols import Array, Ids, OnStage
from prenorm.proof.runtimes.observed import MIN_PADS, ObservedModel, modules_of, refuse_fresh, result_of

_NAME = "flax"


class FlaxRuntime:
    """The model that `Flax...from_pretrained` makes of the folder, called at once; its parameters stay as they are stored."""

    def __init__(self, folder: Path, target: Target, task: TaskKind, compute: str = "float64") -> None:
        """Load the folder strictly, as the class that the task wants.

        Args:
            folder: config.json and safetensors files.
            target: the architecture that the folder must be of.
            task: what it is for.
            compute: `float64` or `float32`.

        Raises:
            UsageProblem: if JAX may not use the CPU, or the architecture has no Flax class.
            ValueError: if the files do not fit the model.
        """
        modules = modules_of(target, _NAME)
        names = ("flax", "jax", "prenorm_model.flax", "prenorm_model.flax.stages")
        flax, self._jax, models, self._stages = (importlib.import_module(name) for name in names)
        self.name = f"flax {flax.__version__} (jax {self._jax.__version__})"
        self._task = task
        model_class = getattr(models, f"Flax{target.bundled_classes[task]}")
        with self._settings(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not in the folder is refused
            # What the model has no use for is named by the audit of the tensors.
            self._model, info = model_class.from_pretrained(
                folder, dtype=compute, ignore_unexpected_keys=True, output_loading_info=True
            )
        refuse_fresh(model_class.__name__, info["missing_keys"], task)
        self._model.min_pads = MIN_PADS
        self._observed = ObservedModel(modules, task, self._model.config.num_hidden_layers)

    def run(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> Array:
        """Run the model's own forward on one batch.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as it is computed.

        Returns:
            What `prenorm.proof.protocols.Runtime.run` returns.
        """
        self._observed.begin(attention_mask, on_stage)
        real = int(attention_mask.sum())
        # One token more than there are: the model rounds their number up, and so computes copies behind the last one.
        more = real + 1 if attention_mask.size - real > MIN_PADS else None
        is_choice = self._task is TaskKind.MULTIPLE_CHOICE
        ids, mask = (array[None] if is_choice else array for array in (input_ids, attention_mask))
        with self._settings(), self._stages.observed_stages(self._model, self._observed.note):
            return result_of(self._model(ids, mask, real_tokens=more), self._task)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Let this thread's JAX compute on the CPU, and know float64, as long as the context lasts."""
        with _enable_x64(self._jax)(True), self._jax.default_device(_cpu(self._jax)):
            yield


def _enable_x64(jax: Any) -> Any:
    """Return the context that lets JAX know float64, which had another place before its version 0.8."""
    return jax.enable_x64 if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64


def _cpu(jax: Any) -> Any:
    """Return the CPU: a GPU computes float32 in fewer bits, and the other side of the proof is computed here too."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise UsageProblem(
            f"{spoken('runtime', _NAME)} computes on the CPU, which JAX may not use here",
            subject="JAX_PLATFORMS",
            advice="Leave it out, or name cpu in it too",
        ) from error
