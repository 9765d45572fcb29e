"""From a model to a folder: config.json and safetensors, in shards above a size."""

from __future__ import annotations

import json
import os
from pathlib import Path

from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

from prenorm_model.naming import to_file
from prenorm_model.torch.base import PretrainedModel
from prenorm_model.torch.loading import INDEX_FILE


def save(model: PretrainedModel, folder: Path, max_shard_size: int | str) -> None:
    """What `PretrainedModel.save_pretrained` does; see there."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    config.extra["architectures"] = [_class_name(model)]
    config.extra["dtype"] = str(model.dtype).removeprefix("torch.")
    config.save_pretrained(folder)
    tensors = {
        to_file(name, config.model_type): parameter.detach().contiguous()
        for name, parameter in model.saved_parameters().items()
    }
    if not config.tie_word_embeddings and "lm_head.bias" in tensors:
        # transformers 5 wants an untied head's bias under both of its names.
        tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"].clone()
    shards = split_torch_state_dict_into_shards(
        tensors, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
    )
    _remove_old(folder)
    for name, keys in shards.filename_to_tensors.items():
        save_file({key: tensors[key] for key in keys}, folder / name, metadata={"format": "pt"})
        _follow_umask(folder / name)
    if shards.is_sharded:
        index = {"metadata": shards.metadata, "weight_map": dict(sorted(shards.tensor_to_filename.items()))}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _class_name(model: PretrainedModel) -> str:
    """The architecture's name in config.json: transformers calls the model without embedding norm XLMRobertaXL."""
    name = type(model).__name__
    return name if model.config.normalizes_embeddings else name.replace("RobertaPreLayerNorm", "XLMRobertaXL")


def _remove_old(folder: Path) -> None:
    """Weights of an earlier save, which a loader could take for this one's: an index, shards, a single file."""
    for path in (*folder.glob("model.safetensors*"), *folder.glob("model-*-of-*.safetensors")):
        path.unlink()


def _follow_umask(path: Path) -> None:
    """safetensors 0.8 leaves mode 0600, which no web server and no colleague can read."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
