"""Gradient checkpointing, under the names that transformers 4 and 5, its `Trainer`, and peft call it by."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

from prenorm_model.torch.context import Collected, Context
from prenorm_model.torch.module import ConfiguredModule


@dataclass(frozen=True)
class Checkpointing:
    """How an encoder computes its layers twice in training.

    Attributes:
        options: arguments of `torch.utils.checkpoint.checkpoint`.
        every_n_layers: checkpoint each layer whose number is a multiple of it.
        offload: whether what is kept waits in the memory of the host.
    """

    options: Mapping[str, Any] = field(default_factory=lambda: {"use_reentrant": False})
    every_n_layers: int = 1
    offload: bool = False

    def run(self, layer: nn.Module, number: int, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Compute a layer, and keep only what goes into it.

        Args:
            layer: the layer.
            number: its number, from 0.
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing and the encoder's states.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """

        # The reentrant kind sees gradients of its own tensor arguments alone.
        def compute(x: Tensor, cross_states: Tensor | None, head_mask: Tensor | None) -> Tensor:
            result: Tensor = layer(x, context._replace(cross_states=cross_states, head_mask=head_mask), collected)
            return result

        if number % self.every_n_layers:
            return compute(x, context.cross_states, context.head_mask)
        on_device = x.device.type != "cpu"
        with torch.autograd.graph.save_on_cpu(pin_memory=on_device) if self.offload else nullcontext():
            kept: Tensor = checkpoint(compute, x, context.cross_states, context.head_mask, **self.options)
        return kept


class CheckpointingModule(ConfiguredModule):
    """A model whose encoder can compute its layers twice in training.

    Attributes:
        supports_gradient_checkpointing: true of every class.

    Args:
        config: the model's configuration.
    """

    supports_gradient_checkpointing = True
    _input_hook: RemovableHandle | None = None

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether layers are computed twice in training."""
        return self._checkpointing() is not None

    @property
    def is_activation_checkpointing(self) -> bool:
        """Whether layers are computed twice in training; transformers 5's name."""
        return self.is_gradient_checkpointing

    def gradient_checkpointing_enable(
        self,
        gradient_checkpointing_kwargs: Mapping[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """Compute each layer twice in training, and keep only its input in between.

        Args:
            gradient_checkpointing_kwargs: arguments of `torch.utils.checkpoint.checkpoint`; default: not reentrant.
            every_n_layers: checkpoint every so many layers, and let the others keep what they compute.
            offload: keep the layers' inputs in the memory of the host.

        Raises:
            ValueError: if `every_n_layers` is no positive number.
        """
        if every_n_layers < 1:
            raise ValueError(f"every_n_layers is {every_n_layers}, not a positive number")
        options = {"use_reentrant": False, **(gradient_checkpointing_kwargs or {})}
        self._set_checkpointing(Checkpointing(options, every_n_layers, offload))
        if options["use_reentrant"]:
            self.enable_input_require_grads()  # without which frozen embeddings would leave no gradient to any layer

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: Mapping[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """Compute each layer twice in training, and keep only its input in between; transformers 5's name.

        Args:
            activation_checkpointing_kwargs: arguments of `torch.utils.checkpoint.checkpoint`; default: not reentrant.
            every_n_layers: checkpoint every so many layers, and let the others keep what they compute.
            offload: keep the layers' inputs in the memory of the host.

        Raises:
            ValueError: if `every_n_layers` is no positive number.
        """
        self.gradient_checkpointing_enable(activation_checkpointing_kwargs, every_n_layers, offload)

    def gradient_checkpointing_disable(self) -> None:
        """Keep what the layers computed, as usual."""
        self._set_checkpointing(None)

    def activation_checkpointing_disable(self) -> None:
        """Keep what the layers computed, as usual; transformers 5's name."""
        self.gradient_checkpointing_disable()

    def enable_input_require_grads(self) -> None:
        """Let gradients reach the embedded words, though nothing before them may be trained; adapters need that."""
        if self._input_hook is None:
            self._input_hook = self.get_input_embeddings().register_forward_hook(_require_grad)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        if self._input_hook is not None:
            self._input_hook.remove()
            self._input_hook = None

    def _checkpointing(self) -> Checkpointing | None:
        """Return how the encoder checkpoints; None: it does not."""
        plan: Checkpointing | None = self.base_model.get_submodule("encoder").checkpointing  # type: ignore[assignment]
        return plan

    def _set_checkpointing(self, checkpointing: Checkpointing | None) -> None:
        """Let the encoder checkpoint, or not."""
        self.base_model.get_submodule("encoder").checkpointing = checkpointing  # type: ignore[assignment]


def _require_grad(_module: nn.Module, _inputs: Any, embedded: Tensor) -> None:
    """Make what comes out of the word embeddings require a gradient."""
    embedded.requires_grad_(True)
