"""A module made from a config: initialization, tied weights, and the names under which weights are saved."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.loading import check_config
from prenorm_model.naming import BASE_PREFIX


class ConfiguredModule(nn.Module):
    """A module made from a config. Subclasses end `__init__` with `finish_init`.

    Attributes:
        config: the configuration.
        base_prefix: the name under which a model with a head holds the headless one; empty for that one itself.

    Args:
        config: the configuration.
    """

    base_prefix = BASE_PREFIX

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        check_config(config)
        self.config = config

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """Return the parameters that are another one's.

        Args:
            config: says what is tied.

        Returns:
            The name under which each is saved, by its own name, the alias.
        """
        return {}

    def saved_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters by the name under which they are saved: aliases of tied ones left out.

        Returns:
            Every parameter once.
        """
        aliases = self.tied_names(self.config)
        return {name: item for name, item in self.named_parameters(remove_duplicate=False) if name not in aliases}

    @property
    def base_model(self) -> nn.Module:
        """The model without its head; for the headless model, itself."""
        return self.get_submodule(self.base_prefix) if self.base_prefix else self

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.get_input_embeddings().weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.get_input_embeddings().weight.device

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings.

        Returns:
            The table, [vocab, hidden].
        """
        embeddings = self.base_model.get_submodule("embeddings.word_embeddings")
        assert isinstance(embeddings, nn.Embedding)
        return embeddings

    def finish_init(self) -> None:
        """Initialize the weights (unless they are on the meta device, to be loaded) and tie what is tied."""
        self.apply(self.initialize)
        self.tie_weights()
        if self.tied_names(self.config):
            self.register_state_dict_post_hook(_part_aliases)  # type: ignore[no-untyped-call]

    def initialize(self, module: nn.Module) -> None:
        """Draw fresh weights from torch's generator: normal with `initializer_range`; biases and pads zero, norms one.

        Args:
            module: a linear map, a table or a norm; others are left as they are.
        """
        if not isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm) or module.weight.is_meta:
            return
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            return
        nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        elif module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()

    def tie_weights(self) -> None:
        """Make every alias of `tied_names` the very parameter that it stands for."""
        for alias, name in self.tied_names(self.config).items():
            self.set_parameter(alias, self.get_parameter(name))

    def set_parameter(self, name: str, parameter: nn.Parameter) -> None:
        """Put a parameter in place of the one of that name.

        Args:
            name: as in `named_parameters`.
            parameter: the new one, of any shape.
        """
        owner, _, leaf = name.rpartition(".")
        setattr(self.get_submodule(owner), leaf, parameter)


def _part_aliases(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    """Give every alias in a state dict a tensor of its own, so that it can be written as it is.

    safetensors refuses tensors that share memory, and transformers' `Trainer` writes a state dict without looking for any.
    A state dict of the parameters themselves (`keep_vars`) keeps them tied.
    """
    assert isinstance(module, ConfiguredModule)
    for alias in module.tied_names(module.config):
        tensor = state.get(prefix + alias)
        if tensor is not None and not isinstance(tensor, nn.Parameter):
            state[prefix + alias] = tensor.clone()
