"""The folder in the user's own transformers, computing in float64: what its readers will get."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prenorm.errors import UsageProblem
from prenorm.options import AUTO_CLASSES, TaskKind
from prenorm.proof.references.builtin import Stage

_PARTS = {
    "q_proj": "attention.self.query",
    "k_proj": "attention.self.key",
    "v_proj": "attention.self.value",
    "out_proj": "attention.output.dense",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
}
# Where the headless model and its final norm are, by model type.
_PLACES = {
    "roberta-prelayernorm": ("roberta_prelayernorm", "LayerNorm"),
    "xlm-roberta-xl": ("roberta", "encoder.LayerNorm"),
}
_HEADS = {
    TaskKind.MASKED_LM: None,
    TaskKind.SEQUENCE_CLASSIFICATION: "classifier.dense",
    TaskKind.MULTIPLE_CHOICE: "{base}.pooler.dense",
    TaskKind.ENCODER: None,
}


class TransformersRuntime:
    """The model that `AutoModelFor...` makes of the folder, in evaluation mode."""

    def __init__(self, folder: Path, task: TaskKind, dtype: torch.dtype = torch.float64) -> None:
        """Loads the folder as its readers would, only in `dtype`.

        Raises:
            UsageProblem: if transformers is not installed.
            ValueError: if the folder does not load, or not whole.
        """
        try:
            import transformers
        except ImportError as error:
            raise UsageProblem(
                "--runtime transformers needs transformers, which is not installed", advice="pip install transformers"
            ) from error
        self.name = f"transformers {metadata.version('transformers')}"
        self._task = task
        self._parts: dict[str, Tensor] = {}
        self._on_stage: Callable[[Stage], None] = lambda stage: None
        options = {"add_pooling_layer": _has_pooler(folder)} if task is TaskKind.ENCODER else {}
        _be_quiet(transformers)
        model, info = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
            folder,
            output_loading_info=True,
            dtype=dtype,
            trust_remote_code=False,
            local_files_only=True,
            **options,
        )
        unfit = [f"{key}: {', '.join(map(str, sorted(map(str, value))[:5]))}" for key, value in info.items() if value]
        if unfit:
            raise ValueError(f"{type(model).__name__} does not load whole ({'; '.join(unfit)})")
        if model.config.model_type not in _PLACES:
            raise ValueError(f"transformers loads it as {type(model).__name__}, which is no pre-LayerNorm model")
        self.model: nn.Module = model.eval()
        self._hook(*_PLACES[model.config.model_type])

    def run(self, input_ids: Tensor, attention_mask: Tensor, on_stage: Callable[[Stage], None]) -> Tensor:
        """The model's forward on one batch; see `BundledRuntime.run`."""
        self._on_stage = on_stage
        choice = self._task is TaskKind.MULTIPLE_CHOICE
        if choice:
            input_ids, attention_mask = input_ids[None], attention_mask[None]
        with torch.inference_mode():
            output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        found: Tensor = output.last_hidden_state if self._task is TaskKind.ENCODER else output.logits
        return found.T if choice else found

    def _hook(self, base: str, final_norm: str) -> None:
        at = "" if self._task is TaskKind.ENCODER else f"{base}."
        self._report(f"{at}embeddings", "embeddings")
        encoder: Any = self.model.get_submodule(f"{at}encoder")
        for n, layer in enumerate(encoder.layer):
            for part, path in _PARTS.items():
                layer.get_submodule(path).register_forward_hook(self._keep(part))
            self._report(f"{at}encoder.layer.{n}", f"layers.{n}")
        self._report(f"{at}{final_norm}", "layer_norm")
        head = _HEADS[self._task]
        if head is not None:
            self._report(head.format(base=base), "head")

    def _keep(self, part: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._parts[part] = output

        return hook

    def _report(self, path: str, stage: str) -> None:
        def hook(module: nn.Module, inputs: object, output: Any) -> None:
            parts, self._parts = self._parts, {}
            whole = output[0] if isinstance(output, tuple) else output
            self._on_stage(
                (stage, {**{name: part.reshape(*whole.shape[:-1], -1) for name, part in parts.items()}, "out": whole})
            )

        self.model.get_submodule(path).register_forward_hook(hook)


def _has_pooler(folder: Path) -> bool:
    """Whether a headless folder has a pooler: fairseq's models have none, but `AutoModel` saves the one it made up."""
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            if any(name.startswith("pooler.") for name in file.keys()):  # noqa: SIM118 - safe_open is no dictionary
                return True
    return False


def _be_quiet(transformers: Any) -> None:
    """No progress bars or notices of the library's own: what matters is in its loading report."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
