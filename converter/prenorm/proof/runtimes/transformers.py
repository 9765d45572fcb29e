"""The folder in the user's own transformers, computing in float64: what its readers will get."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from prenorm.folder.published import stored_names
from prenorm.mapping.targets import Target, target_of_type
from prenorm.options import AUTO_CLASSES, TaskKind
from prenorm.proof.runtimes.hooks import HookedModel


class TransformersRuntime(HookedModel):
    """The model that `AutoModelFor...` makes of the folder, in evaluation mode."""

    def __init__(self, folder: Path, target: Target, task: TaskKind, compute: str = "float64") -> None:
        """Load the folder as its readers would, only in another type.

        Args:
            folder: config.json and safetensors files.
            target: the architecture that the folder must be of; here its config.json decides.
            task: what it is for.
            compute: `float64` or `float32`.

        Raises:
            ValueError: if the folder does not load, or not whole, or as a model that has not the same stages.
        """
        import transformers

        self.name = f"transformers {metadata.version('transformers')}"
        options = {}
        if task is TaskKind.ENCODER:  # fairseq's models have no pooler, but `AutoModel` saves the one it made up
            options["add_pooling_layer"] = any(name.startswith("pooler.") for name, _ in stored_names(folder))
        _be_quiet(transformers)
        model, info = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
            folder,
            output_loading_info=True,
            dtype=getattr(torch, compute),
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # else it raises without a name; they are in its loading report
            **options,
        )
        # What it has no use for is named by the audit of the tensors; the numbers of the others are wanted all the same.
        unfit = [
            f"{key}: {', '.join(map(str, sorted(map(str, value))[:5]))}"
            for key, value in info.items()
            if value and key != "unexpected_keys"
        ]
        if unfit:
            raise ValueError(f"{type(model).__name__} does not load whole ({'; '.join(unfit)})")
        loaded_as = target_of_type(model.config.model_type)
        if loaded_as is None:
            raise ValueError(f"transformers loads it as {type(model).__name__}, which is no pre-LayerNorm model")
        super().__init__(model.eval(), loaded_as.modules["transformers"], task)


def _be_quiet(transformers: Any) -> None:
    """Turn off the library's progress bars and notices: what matters is in its loading report."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
