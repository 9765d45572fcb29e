"""From a model to a folder: config.json and safetensors, or on request transformers 4's TensorFlow file."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.config_file import CONFIG_FILE
from prenorm_model.folder import follow_umask, remove_weights, shard_pattern, variant_name
from prenorm_model.keras.h5_file import H5_FILE, write_h5
from prenorm_model.keras.loading import weights_of
from prenorm_model.keras.module import ConfiguredModel, NamedWeight
from prenorm_model.naming import BASE_PREFIX
from prenorm_model.saving import arrange, check_loadable, write_folder
from prenorm_model.weights import plan_shards, save_weights


def save(
    model: ConfiguredModel,
    folder: Path,
    max_shard_size: int | str,
    variant: str | None = None,
    *,
    safe_serialization: bool = True,
) -> list[str]:
    """Write a model's config.json and weights, in place of those of an earlier save.

    Args:
        model: the model.
        folder: where to write; made if it does not exist.
        max_shard_size: above it, in bytes or as text such as "5GB", safetensors are cut into files of at most that size.
        variant: a part of the files' names; None: none.
        safe_serialization: whether to write safetensors, which every framework reads; else `tf_model.h5`.

    Returns:
        The names of the files.

    Raises:
        ValueError: if what would be written could not be loaded again; then nothing is written.
    """
    name = type(model).__name__
    named = model.named_weights()
    _check_fit(model)
    weights = {key: _array(weight) for key, weight in named.items()}
    dtype = keras.backend.standardize_dtype(model.variable_dtype)
    h5_file = variant_name(H5_FILE, variant)
    if safe_serialization:
        config, arranged = arrange(name, model.config, weights, dtype)
        shards = plan_shards(arranged, shard_pattern(variant), max_shard_size)
        names = write_folder(folder, config, arranged, shards, save_weights, variant)
        (folder / h5_file).unlink(missing_ok=True)
        return names
    _check_has_class(name, model.config)
    config, arranged = arrange(name, model.config, weights, dtype)
    if not model.base_prefix:
        arranged = {f"{BASE_PREFIX}.{key}": weight for key, weight in arranged.items()}
    config.save_pretrained(folder)
    remove_weights(folder, variant)
    write_h5(arranged, folder / h5_file, name)
    follow_umask(folder / h5_file)
    return [CONFIG_FILE, h5_file]


def _array(weight: NamedWeight) -> np.ndarray:
    """Return a variable as the folder has it."""
    value: np.ndarray = keras.ops.convert_to_numpy(weight.variable.value)
    return value.T if weight.is_transposed else value


def _check_fit(model: ConfiguredModel) -> None:
    """Check that a model of the config as it is now can load these weights."""
    model.config.validate()
    config = copy.deepcopy(model.config)
    has_pooler: dict[str, Any] = {} if model.base_prefix else {"add_pooling_layer": model.pooler is not None}
    with warnings.catch_warnings(), keras.StatelessScope():
        warnings.simplefilter("ignore")  # they came when the model itself was made
        expected = weights_of(type(model)(config, **has_pooler))
    check_loadable(type(model).__name__, weights_of(model).shapes, expected)


def _check_has_class(name: str, config: RobertaPreLayerNormConfig) -> None:
    """Check that transformers 4 has a class in TensorFlow that computes what the model does."""
    reasons = [
        (not config.normalizes_embeddings, f"a class for {config.model_type}"),
        (config.position_embedding_type != "absolute", "relative positions"),
        (not config.tie_word_embeddings and "LM" in name, "an untied head"),
        (config.pad_token_id != 1, "another pad than 1"),
    ]
    if lacks := [reason for is_so, reason in reasons if is_so]:
        raise ValueError(
            f"{name} writes no {H5_FILE}: transformers' classes in TensorFlow do not have {' or '.join(lacks)}"
        )
