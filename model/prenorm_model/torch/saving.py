"""From a model to a folder: config.json and safetensors, in shards above a size."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.folder import shard_pattern
from prenorm_model.saving import arrange, check_loadable, write_folder
from prenorm_model.torch.loading import weights_of, without_weights
from prenorm_model.torch.module import ConfiguredModule


def save(
    model: ConfiguredModule,
    folder: Path,
    max_shard_size: int | str,
    variant: str | None = None,
    state_dict: Mapping[str, Tensor] | None = None,
) -> list[str]:
    """Write a model's config.json and weights.

    Args:
        model: the model.
        folder: where to write; made if it does not exist.
        max_shard_size: above it, in bytes or as text such as "5GB", the weights are cut into files of at most that size.
        variant: a part of the files' names; None: none.
        state_dict: the weights to write, by the names of the model's; None: the model's own.

    Returns:
        The names of the files.

    Raises:
        ValueError: if what would be written could not be loaded again; then nothing is written.
    """
    # Imported here, because nothing but saving needs it, and it takes its time.
    from huggingface_hub import split_torch_state_dict_into_shards

    tensors = _tensors(model, state_dict)
    _check_fit(type(model), copy.deepcopy(model.config), tensors)
    dtype = next((str(item.dtype) for item in tensors.values() if item.is_floating_point()), None)
    config, tensors = arrange(type(model).__name__.removeprefix("FSDP"), model.config, tensors, dtype)
    shards = split_torch_state_dict_into_shards(
        tensors, filename_pattern=shard_pattern(variant), max_shard_size=max_shard_size
    )
    return write_folder(folder, config, tensors, shards, _save_file, variant)


def _save_file(tensors: dict[str, Tensor], path: Path) -> None:
    """Write one safetensors file."""
    save_file(tensors, path, metadata={"format": "pt"})


def _tensors(model: ConfiguredModule, state_dict: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Return what is to be saved: each parameter under one name, and none in the memory of another."""
    named: dict[str, Tensor] = dict(
        model.named_parameters(remove_duplicate=False) if state_dict is None else state_dict
    )
    is_tied = model.config.tie_word_embeddings
    for alias, name in model.tied_names(model.config).items():
        if alias not in named:
            continue
        tensor = named.pop(alias)
        if name not in named or not is_tied:
            named[name] = tensor
        elif tensor is not named[name] and not torch.equal(tensor, named[name]):
            raise ValueError(f"{alias} is not {name}, to which tie_word_embeddings=True ties it")
    tensors: dict[str, Tensor] = {}
    places = set()
    for name, tensor in named.items():
        place = (tensor.device, tensor.data_ptr())
        tensors[name] = tensor.detach().clone() if place in places else tensor.detach().contiguous()
        places.add(place)
    return tensors


def _check_fit(cls: type[ConfiguredModule], config: RobertaPreLayerNormConfig, tensors: Mapping[str, Tensor]) -> None:
    """Check that a model of this config can load these weights: attributes may have been set after it was made."""
    config.validate()
    parameters = list(inspect.signature(cls).parameters.values())
    if any(item.default is item.empty and item.kind is not item.VAR_KEYWORD for item in parameters[1:]):
        return  # a class of somebody's own, which only they can make
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they came when the model itself was made
        expected = weights_of(without_weights(cls, config))
    check_loadable(cls.__name__, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, expected)
