"""PyTorch models: their own forward runs, and hooks tell of its stages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from prenorm.mapping.targets.target import HEAD_STAGE, StageModules
from prenorm.options import TaskKind
from prenorm.proof.protocols import Ids, OnStage, Plant, as_tensor


class HookedModel:
    """A model in evaluation mode that reports the stages of its forward.

    Attributes:
        model: the whole model.
        planted: the modules whose outputs are planted in the run that is under way.
    """

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
        self._base = model.get_submodule(base.rstrip("."))
        self._maps: dict[tuple[str, str], nn.Module] = {}
        self._planting: Planting | None = None
        self.planted: frozenset[nn.Module] = frozenset()
        embeddings = model.get_submodule(modules.path("embeddings", base=base))
        embeddings.register_forward_hook(self._plant_embeddings)
        config: Any = model.config
        for stage in ("embeddings", *(f"layers.{n}" for n in range(config.num_hidden_layers)), "layer_norm"):
            self.report(modules.path(stage, base=base), stage)
            if stage.startswith("layers."):
                for part in modules.parts:
                    module = model.get_submodule(modules.path(stage, part, base))
                    module.register_forward_hook(self._keep(part))
                    self._maps[stage, part] = module
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
        ids, mask = self.begin(input_ids, attention_mask, on_stage)
        choice = self._task is TaskKind.MULTIPLE_CHOICE
        if choice:  # [questions, choices, length]
            ids, mask = ids[None], mask[None]
        with torch.inference_mode():
            output: Any = self.model(input_ids=ids, attention_mask=mask)
        result: Tensor = output.last_hidden_state if self._task is TaskKind.ENCODER else output.logits
        return result.T if choice else result

    def run_planted(self, input_ids: Ids, attention_mask: Ids, plant: Plant, on_stage: OnStage) -> None:
        """Run the headless model's own forward on one batch, with planted values for all linear maps within layers.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            plant: called with each layer's name, when the stage before it was reported.
            on_stage: called with every stage up to the final norm.
        """
        ids, mask = self.begin(input_ids, attention_mask, on_stage)
        self._planting, self.planted = Planting(plant, self._real), frozenset(self._maps.values())
        try:
            for (stage, part), module in self._maps.items():
                module.forward = self._planting.forward_of(stage, part)
            with torch.inference_mode():
                self._base(input_ids=ids, attention_mask=mask)
        finally:
            for module in self.planted:
                vars(module).pop("forward", None)
            self._planting, self.planted, self._parts = None, frozenset(), {}

    def _plant_embeddings(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
        """Return what takes the place of the embeddings' output; None where nothing is planted."""
        return None if self._planting is None else self._planting.next("embeddings", "out", output)

    def begin(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> tuple[Tensor, Tensor]:
        """Get ready for one batch.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as it is computed.

        Returns:
            Ids and mask as tensors.
        """
        self._on_stage = on_stage
        ids, mask = torch.from_numpy(input_ids), torch.from_numpy(attention_mask)
        self._real = mask.bool()
        return ids, mask

    def _keep(self, part: str) -> Callable[..., None]:
        """Return a hook that keeps what a module takes in and computes until its layer is reported."""

        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._parts.setdefault(part, []).append(output)
            self._parts.setdefault(f"{part}.in", []).append(inputs[0])

        return hook

    def _tell(self, stage: str, output: Tensor) -> None:
        """Pass a stage on with the parts that were kept for it; planted values have no meaning for a head."""
        if stage == HEAD_STAGE and self._planting is not None:
            return
        kept, self._parts = self._parts, {}
        for part in ("k_proj.in", "v_proj.in"):
            if part in kept and all(map(is_, kept[part], kept["q_proj.in"])):
                del kept[part]
        parts = {**{name: _whole(pieces, output) for name, pieces in kept.items()}, "out": output}
        if stage != HEAD_STAGE and output.dim() == 2:  # of the real tokens alone
            parts = {name: self._padded(values) for name, values in parts.items()}
        self._on_stage(stage, parts)

    def _padded(self, values: Tensor) -> Tensor:
        """Put the values of the real tokens, [tokens, width], in their places in the batch: [batch, length, width]."""
        padded = values.new_zeros(*self._real.shape, values.shape[-1])
        padded[self._real] = values
        return padded


class Planting:
    """Values for the linear maps of one run, layer by layer."""

    def __init__(self, plant: Plant, real: Tensor) -> None:
        """Begin a run.

        Args:
            plant: returns a layer's values.
            real: which of the batch are no pads, [batch, length].
        """
        self._plant = plant
        self._real = real
        self._stage = ""
        self._values: dict[str, Tensor] = {}
        self._taken: dict[str, int] = {}

    def forward_of(self, stage: str, part: str) -> Callable[[Tensor], Tensor]:
        """Return what takes the place of a map's forward.

        Args:
            stage: the map's layer.
            part: the map.

        Returns:
            A function that returns the next of the planted values, as many as it gets.
        """
        return partial(self.next, stage, part)

    def next(self, stage: str, part: str, x: Tensor) -> Tensor:
        """Return the planted values of the next tokens: of all, or of the real ones where the batch runs without its pads.

        Args:
            stage: the stage that asks.
            part: the part of it.
            x: what its module took in, or what it gave, [..., any width].

        Returns:
            [..., width].
        """
        tokens = x.shape[:-1].numel()
        if stage != self._stage:
            is_packed = x.dim() == 2 and tokens < self._real.numel() and tokens == int(self._real.sum())
            planted = {name: as_tensor(values) for name, values in self._plant(stage).items()}
            self._values = {
                name: values[self._real] if is_packed else values.flatten(0, 1) for name, values in planted.items()
            }
            self._stage, self._taken = stage, dict.fromkeys(planted, 0)
        first = self._taken[part]
        self._taken[part] += tokens
        return self._values[part][first : first + tokens].view(*x.shape[:-1], -1)


def _whole(pieces: list[Tensor], output: Tensor) -> Tensor:
    """Return a part's output for the whole batch, which may go through the feed-forward block in pieces of tokens."""
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined.reshape(*output.shape[:-1], joined.shape[-1])
