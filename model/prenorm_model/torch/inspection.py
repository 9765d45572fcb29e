"""What others ask of a model under transformers' names: sizes, and what kind of model it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.naming import BASE_PREFIX
from prenorm_model.torch.module import ConfiguredModule


class InspectableModule(ConfiguredModule):
    """A model that answers under transformers' names.

    Attributes:
        config_class: the class of its configuration.
        base_model_prefix: the name under which a model with a head holds the headless one.
        main_input_name: the first argument of a forward.

    Args:
        config: the model's configuration.
    """

    config_class = RobertaPreLayerNormConfig
    base_model_prefix = BASE_PREFIX
    main_input_name = "input_ids"

    @classmethod
    def can_generate(cls) -> bool:
        """Return whether the class has `generate`.

        Returns:
            True for the causal language model.
        """
        return hasattr(cls, "generate")

    @property
    def name_or_path(self) -> str:
        """Where the model was loaded from; empty for a new one."""
        return str(self.config.name_or_path)

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """Inputs for a trial: `input_ids` [3, 5]."""
        return {"input_ids": torch.tensor([[0, 6, 7, 5, 2], [0, 3, 2, 1, 1], [0, 4, 5, 2, 1]], device=self.device)}

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Count the parameters; tied ones once.

        Args:
            only_trainable: count only those that a gradient is computed for.
            exclude_embeddings: leave out the tables of words, positions and token types.

        Returns:
            The number of values.
        """
        tables = [module.weight for module in self.modules() if isinstance(module, nn.Embedding)]
        left_out = {id(table) for table in tables} if exclude_embeddings else set()
        return sum(
            item.numel()
            for item in self.parameters()
            if id(item) not in left_out and (item.requires_grad or not only_trainable)
        )

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Return how many bytes the weights take; tied ones once.

        Args:
            return_buffers: whether buffers count too.

        Returns:
            The number of bytes.
        """
        tensors: list[Tensor] = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(item.numel() * item.element_size() for item in tensors)
