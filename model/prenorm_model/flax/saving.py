"""From parameters to a folder: config.json and safetensors, or on request transformers 4's Flax file."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prenorm_model.config_file import CONFIG_FILE
from prenorm_model.flax.loading import weights_of
from prenorm_model.flax.module import FlaxConfiguredModel
from prenorm_model.flax.msgpack_file import FLAX_FILE, write
from prenorm_model.flax.params import flatten, weight, weight_name, weight_shape
from prenorm_model.folder import follow_umask, remove_weights, shard_pattern
from prenorm_model.saving import arrange, check_loadable, write_folder
from prenorm_model.weights import plan_shards, save_weights


def save(
    model: FlaxConfiguredModel,
    params: Mapping[str, Any],
    folder: Path,
    max_shard_size: int | str,
    *,
    safe_serialization: bool,
) -> list[str]:
    """Write a model's config.json and weights, in place of those of an earlier save.

    Args:
        model: the model.
        params: its parameters.
        folder: where to write; made if it does not exist.
        max_shard_size: above it, in bytes or as text such as "5GB", safetensors are cut into files of at most that size.
        safe_serialization: whether to write safetensors, which every framework reads; else `flax_model.msgpack`.

    Returns:
        The names of the files.

    Raises:
        ValueError: if what would be written could not be loaded again; then nothing is written.
    """
    name, leaves = type(model).__name__, flatten(params)
    _check_fit(model, leaves)
    dtype = next((str(leaf.dtype) for leaf in leaves.values()), None)
    weights = {weight_name(path): weight(path, np.asarray(leaf)) for path, leaf in leaves.items()}
    config, arranged = arrange(name, model.config, weights, dtype)
    if safe_serialization:
        shards = plan_shards(arranged, shard_pattern(None), max_shard_size)
        names = write_folder(folder, config, arranged, shards, save_weights)
        (folder / FLAX_FILE).unlink(missing_ok=True)
        return names
    if not config.normalizes_embeddings:
        raise ValueError(f"{name} writes no {FLAX_FILE} of {config.model_type}: transformers has no Flax class of it")
    config.save_pretrained(folder)
    remove_weights(folder)
    write({path: np.asarray(leaf) for path, leaf in leaves.items()}, folder / FLAX_FILE)
    follow_umask(folder / FLAX_FILE)
    return [CONFIG_FILE, FLAX_FILE]


def _check_fit(model: FlaxConfiguredModel, leaves: Mapping[tuple[str, ...], Any]) -> None:
    """Check that a model of the config as it is now can load these parameters."""
    model.config.validate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they came when the model itself was made
        loaded = type(model)(copy.deepcopy(model.config), _do_init=False)
    shapes = {weight_name(path): weight_shape(path, tuple(leaf.shape)) for path, leaf in leaves.items()}
    check_loadable(type(model).__name__, shapes, weights_of(loaded))
