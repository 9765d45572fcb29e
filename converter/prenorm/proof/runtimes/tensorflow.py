"""The folder in `prenorm_model`'s Keras classes, on TensorFlow: Keras' other backends compute products in float32."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
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

_NAME = "tensorflow"
_CPU = "/CPU:0"  # a GPU computes float32 in fewer bits, and the other side of the proof is computed here too


class TensorFlowRuntime:
    """The model that `TF...from_pretrained` makes of the folder, called at once, all of it in the type computed in."""

    def __init__(self, folder: Path, target: Target, task: TaskKind, compute: str = "float64") -> None:
        """Load the folder strictly, as the class that the task wants.

        Args:
            folder: config.json and safetensors files.
            target: the architecture that the folder must be of.
            task: what it is for.
            compute: `float64` or `float32`: the dtype policy of Keras' layers.

        Raises:
            UsageProblem: if Keras is at work on another backend, or the architecture has no Keras class.
            ValueError: if the files do not fit the model.
        """
        modules = modules_of(target, _NAME)
        self._tensorflow, models, self._stages = _imported()
        self.name = f"tensorflow {self._tensorflow.__version__} (keras {sys.modules['keras'].__version__})"
        self._task = task
        options = {"add_pooling_layer": False} if task is TaskKind.ENCODER else {}
        model_class = getattr(models, f"TF{target.bundled_classes[task]}")
        with self._tensorflow.device(_CPU), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not in the folder is refused
            # What the model has no use for is named by the audit of the tensors.
            self._model, info = model_class.from_pretrained(
                folder, dtype=compute, ignore_unexpected_keys=True, output_loading_info=True, **options
            )
        refuse_fresh(model_class.__name__, info["missing_keys"], task)
        headless = self._model if task is TaskKind.ENCODER else self._model.roberta_prelayernorm
        headless.min_pads = MIN_PADS
        self._observed = ObservedModel(modules, task, self._model.config.num_hidden_layers)

    def run(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> Array:
        """Run the model's own forward on one batch.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as it is computed.

        Returns:
            What `prenorm.proof.protocols.Runtime.run` returns.

        Raises:
            RuntimeError: if TensorFlow refuses an operation.
        """
        self._observed.begin(attention_mask, on_stage)
        is_choice = self._task is TaskKind.MULTIPLE_CHOICE
        ids, mask = (array[None] if is_choice else array for array in (input_ids, attention_mask))
        try:
            observed = self._stages.observed_stages(self._model, self._observed.note)
            with self._tensorflow.device(_CPU), _plain_errors(), observed:
                return result_of(self._model(input_ids=ids, attention_mask=mask), self._task)
        except self._tensorflow.errors.OpError as error:
            raise RuntimeError(error.message) from error


def _imported() -> tuple[Any, Any, Any]:
    """Import TensorFlow, and the model on Keras' TensorFlow backend; whatever the settings say, it is that for one import."""
    if "keras" not in sys.modules:
        with _environment(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3"), _without_notices():
            importlib.import_module("keras")
    backend = sys.modules["keras"].backend.backend()
    if backend != "tensorflow":
        raise UsageProblem(
            f"{spoken('runtime', _NAME)} computes on Keras' TensorFlow backend, and Keras is at work on {backend} in this "
            "process",
            advice="Ask for it in a process of its own, or where keras is not imported yet",
        )
    names = ("tensorflow", "prenorm_model.keras", "prenorm_model.keras.stages")
    tensorflow, models, stages = (importlib.import_module(name) for name in names)
    return tensorflow, models, stages


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Let errors leave Keras' layers as they were raised: else their messages are put into longer ones about the layer."""
    config = sys.modules["keras"].config
    is_filtered = config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    try:
        yield
    finally:
        if is_filtered:
            config.enable_traceback_filtering()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables, as long as the context lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_notices() -> Iterator[None]:
    """Keep what the process writes to stderr to itself, unless what happens meanwhile fails.

    TensorFlow says there that it found no GPU, and which of its options are on, before it reads how much it is to say.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # there is no stderr, so nothing is said
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
