"""From a model to a folder, as far as no framework is concerned: config.json, names, shards and their index."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.config_file import CONFIG_FILE
from prenorm_model.fitting import ExpectedWeights, Shape, fit
from prenorm_model.folder import follow_umask, remove_weights, write_index
from prenorm_model.naming import architecture, to_file

if TYPE_CHECKING:
    from huggingface_hub.serialization._base import StateDictSplit

ArrayT = TypeVar("ArrayT")


def check_loadable(model: str, stored: Mapping[str, Shape], expected: ExpectedWeights) -> None:
    """Check that what a folder would hold could be loaded again: a model's attributes may have been set after it was made.

    Args:
        model: the name of the model's class.
        stored: the shapes of the weights, by the names in the model.
        expected: what a model of the config that would be written needs.

    Raises:
        ValueError: listing what would not fit.
    """
    matched = fit(stored, expected)
    # A folder may lack the pooler, which a model may be made without; no other part.
    whole = [f"missing: {part}, whole" for part in matched.fresh if part != "pooler"]
    if problems := [*matched.problems, *matched.unexpected, *whole]:
        raise ValueError(
            f"what would be written could not be loaded again by {model}, because its config says otherwise:\n  "
            + "\n  ".join(problems)
        )


def arrange(
    model: str, config: RobertaPreLayerNormConfig, weights: Mapping[str, ArrayT], dtype: str | None
) -> tuple[RobertaPreLayerNormConfig, dict[str, ArrayT]]:
    """Return what a folder says of a model, and its weights by the names that they have there.

    Args:
        model: the name of the model's class.
        config: the model's configuration.
        weights: the weights, by the names in the model.
        dtype: their type.

    Returns:
        The configuration that goes into config.json, and the weights.
    """
    config = copy.deepcopy(config)
    config.architectures = [architecture(model, config)]
    config.dtype = dtype
    arranged = {to_file(name, config.model_type): weight for name, weight in weights.items()}
    if not config.tie_word_embeddings and "lm_head.bias" in arranged:
        # transformers 5 wants an untied head's bias under both of its names; safetensors, one memory for each.
        arranged["lm_head.decoder.bias"] = copy.deepcopy(arranged["lm_head.bias"])
    return config, arranged


def write_folder(
    folder: Path,
    config: RobertaPreLayerNormConfig,
    weights: Mapping[str, ArrayT],
    shards: StateDictSplit,
    save_file: Callable[[dict[str, ArrayT], Path], None],
    variant: str | None = None,
) -> list[str]:
    """Write config.json and weights.

    Args:
        folder: where to write; made if it does not exist.
        config: the configuration.
        weights: the weights, by the names in the folder.
        shards: which of them go into which file.
        save_file: writes a file.
        variant: a part of the files' names; None: none.

    Returns:
        The names of the files.
    """
    config.save_pretrained(folder)
    remove_weights(folder, variant)
    for name, keys in shards.filename_to_tensors.items():
        save_file({key: weights[key] for key in keys}, folder / name)
        follow_umask(folder / name)
    names = [CONFIG_FILE, *shards.filename_to_tensors]
    if shards.is_sharded:
        names.append(write_index(folder, shards.metadata, shards.tensor_to_filename, variant))
    return names
