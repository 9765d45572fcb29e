"""`from_pretrained` and `save_pretrained`, with the options of transformers' Flax models under their names."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.loading import load
from prenorm_model.flax.module import FlaxConfiguredModel
from prenorm_model.flax.msgpack_file import FLAX_FILE
from prenorm_model.flax.saving import save
from prenorm_model.folder import weight_patterns
from prenorm_model.hub import CommitOptions, HubOptions, Location, UploadOptions, check_push, upload
from prenorm_model.loading import config_to_load
from prenorm_model.options import (
    IGNORED_LOADING,
    UNSUPPORTED_FLAX_LOADING,
    refuse_unknown,
    refuse_unsupported,
)

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on

ModelT = TypeVar("ModelT", bound="FlaxSavedModel")

# What says where weights come from, and asks for nothing: safetensors are read, whichever framework wrote them.
_NEEDLESS = frozenset({"from_pt", *IGNORED_LOADING})


class FlaxSavedModel(FlaxConfiguredModel):
    """A model that loads from, and saves to, a folder or a repo on the Hub."""

    @classmethod
    def from_pretrained(
        cls: type[ModelT],
        pretrained_model_name_or_path: str | Path,
        dtype: Any = jnp.float32,
        *,
        config: RobertaPreLayerNormConfig | str | Path | None = None,
        cache_dir: str | Path | None = None,
        ignore_mismatched_sizes: bool = False,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        subfolder: str = "",
        seed: int = 0,
        gradient_checkpointing: bool = False,
        _do_init: bool = True,
        output_loading_info: bool = False,
        ignore_unexpected_keys: bool = False,
        **changes: Any,
    ) -> Any:
        """Load a model from safetensors, or where there are none, from `flax_model.msgpack`.

        Args:
            pretrained_model_name_or_path: a folder on disk, or a repo's id on the Hub.
            dtype: the type that is computed in; parameters keep the type that they are stored in, see `to_bf16`.
            config: in place of the folder's config.json: a configuration, transformers' too, or where its file is.
            cache_dir: where downloaded files are kept; default: huggingface_hub's own cache.
            ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
            force_download: download files that are in the cache too.
            local_files_only: take files from the cache, and never ask the Hub.
            token: the Hub's token of the user; True: the one that is logged in; False: none.
            revision: branch, tag or commit of the repo.
            subfolder: the folder in the folder or repo that the files lie in.
            seed: of what is not there, and is initialized anew.
            gradient_checkpointing: whether a gradient computes each layer anew, instead of keeping what is in between.
            _do_init: whether the model keeps the parameters; else they are returned beside it.
            output_loading_info: return what did not come from the files, and what was left out, too.
            ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.
            **changes: fields of the config to change (`num_labels=3`), and arguments of the class (`add_pooling_layer`).

        Returns:
            The model; without `_do_init` it and its parameters; with `output_loading_info` also the `LoadingInfo`. A head
            that is missing whole is initialized anew, with one warning that names it; heads of other tasks are passed over.

        Raises:
            TypeError: naming all unknown arguments at once.
            ValueError: listing missing, unexpected and mismatched keys, or naming arguments that cannot be, or that are
                transformers' and not supported.
            FileNotFoundError: if there is no config.json or no weights.
        """
        call = f"{cls.__name__}.from_pretrained"
        constructor = inspect.signature(cls).parameters.keys() - {"config"}
        no_fields = {*constructor, *_NEEDLESS, *UNSUPPORTED_FLAX_LOADING}
        refuse_unknown(call, changes, {*no_fields, *RobertaPreLayerNormConfig.settable_names()})
        refuse_unsupported(call, changes, UNSUPPORTED_FLAX_LOADING)
        hub = HubOptions(
            cache_dir=cache_dir, force_download=force_download, local_files_only=local_files_only, token=token,
            revision=revision, subfolder=subfolder,
        )  # fmt: skip
        location = Location(pretrained_model_name_or_path, **hub)
        fields = {name: value for name, value in changes.items() if name not in no_fields}
        arguments = {name: value for name, value in changes.items() if name in constructor}
        model = cls(
            config_to_load(location, config, hub, fields), dtype=dtype, _do_init=False,
            gradient_checkpointing=gradient_checkpointing, **arguments,
        )  # fmt: skip
        params, info = load(
            model, location, seed=seed, ignore_mismatched_sizes=ignore_mismatched_sizes,
            ignore_unexpected_keys=ignore_unexpected_keys,
        )  # fmt: skip
        if _do_init:
            model.params = params
            return (model, info) if output_loading_info else model
        return (model, params, info) if output_loading_info else (model, params)

    def save_pretrained(
        self,
        save_directory: str | Path,
        params: Mapping[str, Any] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "5GB",
        *,
        safe_serialization: bool = True,
        **options: Unpack[UploadOptions],
    ) -> None:
        """Write config.json and safetensors, which all three frameworks read.

        Args:
            save_directory: where to write; made if it does not exist.
            params: the parameters to write; default: the model's own.
            push_to_hub: commit the files to the Hub too.
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
            safe_serialization: write safetensors; else `flax_model.msgpack`, for transformers 4's Flax models.
            **options: where and how to push; see `UploadOptions`.

        Raises:
            TypeError: naming all unknown arguments at once.
            ValueError: if what would be written could not be loaded again; then nothing is written.
        """
        check_push(f"{type(self).__name__}.save_pretrained", push_to_hub, options)
        folder = Path(save_directory)
        params = self.params if params is None else params
        names = save(self, params, folder, max_shard_size, safe_serialization=safe_serialization)
        if push_to_hub:
            upload(folder, names, [*weight_patterns(None), FLAX_FILE], **options)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        max_shard_size: int | str = "5GB",
        **options: Unpack[CommitOptions],
    ) -> str:
        """Commit config.json and weights to a repo on the Hub, which is made if it does not exist.

        Args:
            repo_id: the repo.
            params: the parameters to write; default: the model's own.
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
            **options: how; see `CommitOptions`.

        Returns:
            The commit's address.
        """
        push = UploadOptions(repo_id=repo_id, **options)
        check_push(f"{type(self).__name__}.push_to_hub", True, push)
        params = self.params if params is None else params
        with tempfile.TemporaryDirectory() as folder:
            names = save(self, params, Path(folder), max_shard_size, safe_serialization=True)
            return upload(Path(folder), names, [*weight_patterns(None), FLAX_FILE], **push)
