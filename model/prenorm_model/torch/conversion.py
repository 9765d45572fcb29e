"""To transformers and back: its classes and ours over the same parameters, without a copy."""

from __future__ import annotations

from importlib import import_module
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.naming import architecture, to_file, to_module
from prenorm_model.torch.loading import NoInitialization
from prenorm_model.torch.module import ConfiguredModule

ModelT = TypeVar("ModelT", bound="ConvertibleModule")


class ConvertibleModule(ConfiguredModule):
    """A model that can become transformers' own, and be made of it.

    Args:
        config: the model's configuration.
    """

    def to_transformers(self) -> Any:
        """Return transformers' model over the same parameters: what either trains, the other computes with.

        Its `generate` counts positions as its own forward does by default, from `pad_token_id + 1`; left to itself it would
        count them from 0, where no text was ever trained.

        Returns:
            `transformers.RobertaPreLayerNorm...` or, without embedding norm, `transformers.XLMRobertaXL...`.

        Raises:
            ImportError: if transformers is not installed.
            ValueError: if its class has no place for some weight, as transformers 5 has none for relative positions, or the
                activation is a function, which its config cannot hold.
        """
        transformers = _transformers()
        name = architecture(type(self).__name__, self.config)
        has_pooler = {"add_pooling_layer": getattr(self, "pooler", None) is not None} if not self.base_prefix else {}
        config_class = transformers.CONFIG_MAPPING[self.config.model_type]
        values = self.config.to_diff_dict()
        with torch.device("meta"), NoInitialization():
            theirs = getattr(transformers, name)(config_class.from_dict(values), **has_pooler)
        model_type = self.config.model_type
        weights = {to_file(key, model_type): item for key, item in self.named_parameters(remove_duplicate=False)}
        _share(theirs, weights, self.device, name)
        theirs.tie_weights()
        theirs.train(self.training)
        if self.config.is_decoder:
            _count_positions_as_forward(theirs)
        return theirs

    @classmethod
    def from_transformers(cls: type[ModelT], model: Any) -> ModelT:
        """Return a model over the parameters of transformers': what either trains, the other computes with.

        Args:
            model: transformers' model of the same name, or without embedding norm its `XLMRobertaXL...`.

        Returns:
            The model, in the same mode.

        Raises:
            ValueError: if it is of another class, or has weights that the class has no place for.
        """
        config = RobertaPreLayerNormConfig.from_dict(model.config.to_dict())
        expected = architecture(cls.__name__, config)
        if type(model).__name__ != expected:
            raise ValueError(f"{cls.__name__} is made of transformers' {expected}; this is a {type(model).__name__}")
        has_pooler = {} if cls.base_prefix else {"add_pooling_layer": model.pooler is not None}
        with torch.device("meta"), NoInitialization():
            ours = cls(config, **has_pooler)
        weights = {
            to_module(key, config.model_type): item for key, item in model.named_parameters(remove_duplicate=False)
        }
        for alias, saved in cls.tied_names(config).items():
            if alias in weights:  # of an untied head transformers computes with the alias alone
                weights[saved] = weights[alias]
        _share(ours, weights, model.device, cls.__name__)
        ours.train(model.training)
        return ours


def _count_positions_as_forward(theirs: Any) -> None:
    """Let transformers' `generate` count positions as the model's forward does, where the user gives none."""
    if hasattr(theirs, "_prepare_position_ids_for_generation"):  # transformers 5
        theirs._prepare_position_ids_for_generation = MethodType(prepare_position_ids, theirs)
    elif "prepare_inputs_for_generation" not in vars(
        type(theirs)
    ):  # transformers 4, whose XLMRobertaXL counts by itself
        theirs.prepare_inputs_for_generation = MethodType(prepare_inputs, theirs)


def prepare_position_ids(model: Any, inputs: Tensor, options: dict[str, Any]) -> Tensor:
    """Return the positions of transformers 5's `generate`, as the model's forward counts them.

    Args:
        model: transformers' model.
        inputs: [batch, length], the prompt.
        options: arguments of the forward.

    Returns:
        [batch, length].
    """
    from_zero: Tensor = type(model)._prepare_position_ids_for_generation(model, inputs, options)
    counted: Tensor = from_zero + (model.config.pad_token_id + 1)
    return counted


def prepare_inputs(model: Any, *arguments: Any, position_ids: Tensor | None = None, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a step of transformers 4's `generate`, with positions as the model's forward counts them.

    Args:
        model: transformers' model.
        *arguments: what transformers passes on.
        position_ids: the user's own, which stay as they are.
        **kwargs: what transformers passes on by name; it looks for the name `kwargs` here.

    Returns:
        The arguments by name.
    """
    inputs: dict[str, Any] = type(model).prepare_inputs_for_generation(
        model, *arguments, position_ids=position_ids, **kwargs
    )
    if position_ids is None and inputs.get("position_ids") is not None:
        inputs["position_ids"] = inputs["position_ids"] + model.config.pad_token_id + 1
    return inputs


def _transformers() -> Any:
    """Return the module."""
    try:
        return import_module("transformers")
    except ImportError as error:
        raise ImportError(
            "to_transformers needs transformers, which is not installed: pip install transformers"
        ) from error


def _share(module: nn.Module, weights: dict[str, nn.Parameter], device: torch.device, name: str) -> None:
    """Put parameters into a module that is on the meta device, and make its buffers; refuse where they do not fit."""
    known = dict(module.named_parameters(remove_duplicate=False))
    if known.keys() != weights.keys():
        unfit = sorted(known.keys() ^ weights.keys())
        raise ValueError(f"{name} has not the same weights: {', '.join(unfit[:5])}{' ...' if len(unfit) > 5 else ''}")
    for key, parameter in weights.items():
        owner, _, leaf = key.rpartition(".")
        setattr(module.get_submodule(owner), leaf, parameter)
    for key, buffer in list(module.named_buffers()):
        owner, _, leaf = key.rpartition(".")
        counted = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
        tables = {"position_ids": counted, "token_type_ids": torch.zeros_like(counted)}
        if leaf not in tables:
            raise ValueError(f"{name} has a table '{key}' that this package does not know")
        setattr(module.get_submodule(owner), leaf, tables[leaf])
