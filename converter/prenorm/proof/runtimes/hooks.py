"""PyTorch models: their own forward runs, and hooks tell of its stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from prenorm.mapping.targets.target import HEAD_STAGE, StageModules
from prenorm.options import TaskKind
from prenorm.proof.protocols import Ids, OnStage


class HookedModel:
    """A model in evaluation mode that reports the stages of its forward."""

    def __init__(self, model: nn.Module, modules: StageModules, task: TaskKind) -> None:
        """Put hooks on the modules that compute stages and their parts.

        Args:
            model: the whole model.
            modules: where it computes each stage.
            task: what the folder is for.
        """
        self.model = model
        self._task = task
        self._on_stage: OnStage = lambda stage, parts: None
        self._real = torch.empty(0, 0, dtype=torch.bool)
        self._parts: dict[str, list[Tensor]] = {}
        base = "" if task is TaskKind.ENCODER else modules.base
        config: Any = model.config
        for stage in ("embeddings", *(f"layers.{n}" for n in range(config.num_hidden_layers)), "layer_norm"):
            self.report(modules.path(stage, base=base), stage)
            if stage.startswith("layers."):
                for part in modules.parts:
                    module = model.get_submodule(modules.path(stage, part, base))
                    module.register_forward_hook(self._keep(part))
        if (head := modules.head(task)) is not None:
            self.report(head, HEAD_STAGE)

    def report(self, path: str, stage: str) -> None:
        """Report the output of a module as a stage.

        Args:
            path: the module.
            stage: the stage's name.
        """
        self.model.get_submodule(path).register_forward_hook(
            lambda module, inputs, output: self._tell(stage, output[0] if isinstance(output, tuple) else output)
        )

    def run(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> Tensor:
        """Run the model's own forward on one batch.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as it is computed.

        Returns:
            What `prenorm.proof.protocols.Runtime.run` returns.
        """
        self._on_stage = on_stage
        ids, mask = torch.from_numpy(input_ids), torch.from_numpy(attention_mask)
        choice = self._task is TaskKind.MULTIPLE_CHOICE
        self._real = mask.bool()
        if choice:  # [questions, choices, length]
            ids, mask = ids[None], mask[None]
        with torch.inference_mode():
            output: Any = self.model(input_ids=ids, attention_mask=mask)
        result: Tensor = output.last_hidden_state if self._task is TaskKind.ENCODER else output.logits
        return result.T if choice else result

    def _keep(self, part: str) -> Callable[..., None]:
        """Return a hook that keeps what a module computes until its layer is reported."""

        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            self._parts.setdefault(part, []).append(output)

        return hook

    def _tell(self, stage: str, output: Tensor) -> None:
        """Pass a stage on with the parts that were kept for it."""
        kept, self._parts = self._parts, {}
        parts = {**{name: _whole(pieces, output) for name, pieces in kept.items()}, "out": output}
        if stage != HEAD_STAGE and output.dim() == 2:  # of the real tokens alone
            parts = {name: self._padded(values) for name, values in parts.items()}
        self._on_stage(stage, parts)

    def _padded(self, values: Tensor) -> Tensor:
        """Put the values of the real tokens, [tokens, width], in their places in the batch: [batch, length, width]."""
        padded = values.new_zeros(*self._real.shape, values.shape[-1])
        padded[self._real] = values
        return padded


def _whole(pieces: list[Tensor], output: Tensor) -> Tensor:
    """Return a part's output for the whole batch, which may go through the feed-forward block in pieces of tokens."""
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined.reshape(*output.shape[:-1], joined.shape[-1])
