"""`from_pretrained` and `save_pretrained`, with the options of transformers' TensorFlow models under their names."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.folder import weight_patterns
from prenorm_model.hub import CommitOptions, HubOptions, Location, UploadOptions, check_push, upload
from prenorm_model.keras.h5_file import H5_FILE
from prenorm_model.keras.loading import load
from prenorm_model.keras.saving import save
from prenorm_model.keras.training import TrainableModel
from prenorm_model.loading import config_to_load
from prenorm_model.options import (
    IGNORED_LOADING,
    UNSUPPORTED_KERAS_LOADING,
    refuse_unknown,
    refuse_unsupported,
)

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on

ModelT = TypeVar("ModelT", bound="SavedModel")

# What says where weights come from, and asks for nothing: safetensors are read, whichever framework wrote them.
_NEEDLESS = frozenset({"from_pt", *IGNORED_LOADING})


class SavedModel(TrainableModel):
    """A model that loads from, and saves to, a folder or a repo on the Hub.

    Args:
        config: the model's configuration.
        dtype: Keras' dtype policy, or its name; None: the global one.
        name: the model's name; None: one of the class.
    """

    @classmethod
    def from_pretrained(
        cls: type[ModelT],
        pretrained_model_name_or_path: str | Path,
        *model_args: Any,
        config: RobertaPreLayerNormConfig | str | Path | None = None,
        cache_dir: str | Path | None = None,
        ignore_mismatched_sizes: bool = False,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        use_safetensors: bool | None = None,
        subfolder: str = "",
        variant: str | None = None,
        dtype: Any = None,
        name: str | None = None,
        output_loading_info: bool = False,
        ignore_unexpected_keys: bool = False,
        **changes: Any,
    ) -> Any:
        """Load a model from safetensors, or where there are none, from `tf_model.h5`.

        Args:
            pretrained_model_name_or_path: a folder on disk, or a repo's id on the Hub.
            *model_args: arguments of the class after the config.
            config: in place of the folder's config.json: a configuration, transformers' too, or where its file is.
            cache_dir: where downloaded files are kept; default: huggingface_hub's own cache.
            ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
            force_download: download files that are in the cache too.
            local_files_only: take files from the cache, and never ask the Hub.
            token: the Hub's token of the user; True: the one that is logged in; False: none.
            revision: branch, tag or commit of the repo.
            use_safetensors: whether to read safetensors, or `tf_model.h5`; default: safetensors where there are some.
            subfolder: the folder in the folder or repo that the files lie in.
            variant: the part of the weight files' names that tells them from others, as in `model.fp16.safetensors`.
            dtype: Keras' dtype policy, or its name, such as "mixed_bfloat16"; None: the global one.
            name: the model's name; None: one of the class.
            output_loading_info: return what did not come from the files, and what was left out, too.
            ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.
            **changes: fields of the config to change (`num_labels=3`), and arguments of the class (`add_pooling_layer`).

        Returns:
            The model; with `output_loading_info`, it and the `LoadingInfo`. A head that is missing whole is initialized
            anew, with one warning that names it; heads of other tasks are passed over.

        Raises:
            TypeError: naming all unknown arguments at once.
            ValueError: listing missing, unexpected and mismatched keys, or naming arguments that cannot be, or that are
                transformers' and not supported.
            FileNotFoundError: if there is no config.json or no weights.
        """
        call = f"{cls.__name__}.from_pretrained"
        constructor = inspect.signature(cls.__init__).parameters.keys() - {"self", "config"}
        no_fields = {*constructor, *_NEEDLESS, *UNSUPPORTED_KERAS_LOADING}
        refuse_unknown(call, changes, {*no_fields, *RobertaPreLayerNormConfig.settable_names()})
        refuse_unsupported(call, changes, UNSUPPORTED_KERAS_LOADING)
        hub = HubOptions(
            cache_dir=cache_dir, force_download=force_download, local_files_only=local_files_only, token=token,
            revision=revision, subfolder=subfolder,
        )  # fmt: skip
        location = Location(pretrained_model_name_or_path, **hub)
        fields = {key: value for key, value in changes.items() if key not in no_fields}
        arguments = {key: value for key, value in changes.items() if key in constructor}
        model, info = load(
            cls, location, config_to_load(location, config, hub, fields),
            (model_args, {**arguments, "dtype": dtype, "name": name}), variant=variant, use_safetensors=use_safetensors,
            ignore_mismatched_sizes=ignore_mismatched_sizes, ignore_unexpected_keys=ignore_unexpected_keys,
        )  # fmt: skip
        return (model, info) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | Path,
        saved_model: bool = False,
        version: int = 1,
        push_to_hub: bool = False,
        signatures: Any = None,
        max_shard_size: int | str = "5GB",
        *,
        safe_serialization: bool = True,
        variant: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> None:
        """Write config.json and safetensors, which all three frameworks read. The order is that of transformers.

        Args:
            save_directory: where to write; made if it does not exist.
            saved_model: whether to write a graph for inference too, as `export` does, into `saved_model`.
            version: the name of the graph's folder in there.
            push_to_hub: commit the files to the Hub too, without a graph.
            signatures: the graph's inputs, as `export` takes them as `input_signature`.
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
            safe_serialization: write safetensors; else `tf_model.h5`, for transformers 4's TensorFlow models.
            variant: a part of the weight files' names, as in `model.fp16.safetensors`.
            **options: where and how to push; see `UploadOptions`.

        Raises:
            TypeError: naming all unknown arguments at once.
            ValueError: if what would be written could not be loaded again, then nothing is written; or naming arguments that
                need another one.
        """
        call = f"{type(self).__name__}.save_pretrained"
        if signatures is not None and not saved_model:
            raise ValueError(f"{call} takes signatures with saved_model=True only")
        check_push(call, push_to_hub, options)
        folder = Path(save_directory)
        names = save(self, folder, max_shard_size, variant, safe_serialization=safe_serialization)
        if saved_model:
            self.export(folder / "saved_model" / str(version), input_signature=signatures)
        if push_to_hub:
            upload(folder, names, [*weight_patterns(variant), H5_FILE], **options)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        max_shard_size: int | str = "5GB",
        variant: str | None = None,
        **options: Unpack[CommitOptions],
    ) -> str:
        """Commit config.json and weights to a repo on the Hub, which is made if it does not exist.

        Args:
            repo_id: the repo.
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
            variant: a part of the weight files' names, as in `model.fp16.safetensors`.
            **options: how; see `CommitOptions`.

        Returns:
            The commit's address.
        """
        push = UploadOptions(repo_id=repo_id, **options)
        check_push(f"{type(self).__name__}.push_to_hub", True, push)
        with tempfile.TemporaryDirectory() as folder:
            names = save(self, Path(folder), max_shard_size, variant)
            return upload(Path(folder), names, [*weight_patterns(variant), H5_FILE], **push)
