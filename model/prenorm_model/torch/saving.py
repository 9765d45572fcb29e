"""From a model to a folder: config.json and safetensors, in shards above a size."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from prenorm_model.folder import follow_umask, remove_weights, write_index
from prenorm_model.naming import architecture, to_file
from prenorm_model.torch.module import ConfiguredModule


def save(model: ConfiguredModule, folder: Path, max_shard_size: int | str) -> None:
    """Write a model's config.json and weights.

    Args:
        model: the model.
        folder: where to write; made if it does not exist.
        max_shard_size: above it, in bytes or as text such as "5GB", the weights are cut into files of at most that size.
    """
    # Imported here, because nothing but saving needs it, and it takes its time.
    from huggingface_hub import split_torch_state_dict_into_shards

    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    config.extra["architectures"] = [architecture(type(model).__name__, config)]
    config.extra["dtype"] = str(model.dtype).removeprefix("torch.")
    config.save_pretrained(folder)
    tensors = {
        to_file(name, config.model_type): item.detach().contiguous() for name, item in model.saved_parameters().items()
    }
    if not config.tie_word_embeddings and "lm_head.bias" in tensors:
        # transformers 5 wants an untied head's bias under both of its names.
        tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"].clone()
    shards = split_torch_state_dict_into_shards(
        tensors, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
    )
    remove_weights(folder)
    for name, keys in shards.filename_to_tensors.items():
        save_file({key: tensors[key] for key in keys}, folder / name, metadata={"format": "pt"})
        follow_umask(folder / name)
    if shards.is_sharded:
        write_index(folder, shards.metadata, shards.tensor_to_filename)
