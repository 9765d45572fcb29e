"""`from_pretrained` and `save_pretrained`, with transformers' options under their names."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.folder import weight_patterns
from prenorm_model.hub import CommitOptions, HubOptions, Location, UploadOptions, check_push, upload
from prenorm_model.loading import config_to_load
from prenorm_model.options import (
    IGNORED_LOADING,
    IGNORED_SAVING,
    UNSUPPORTED_LOADING,
    UNSUPPORTED_SAVING,
    refuse_unknown,
    refuse_unsupported,
)
from prenorm_model.torch.loading import LoadingOptions, load, one_device
from prenorm_model.torch.module import ConfiguredModule
from prenorm_model.torch.saving import save

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on


ModelT = TypeVar("ModelT", bound="SavedModule")


class SavedModule(ConfiguredModule):
    """A module that loads from, and saves to, a folder or a repo on the Hub.

    Args:
        config: the model's configuration.
    """

    @classmethod
    def from_pretrained(
        cls: type[ModelT],
        pretrained_model_name_or_path: str | Path | None,
        *model_args: Any,
        config: RobertaPreLayerNormConfig | str | Path | None = None,
        cache_dir: str | Path | None = None,
        ignore_mismatched_sizes: bool = False,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        use_safetensors: bool | None = None,
        weights_only: bool = True,
        disable_mmap: bool | None = None,
        state_dict: Mapping[str, Tensor] | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        device_map: Mapping[str, Any] | torch.device | str | int | None = None,
        device: torch.device | str | int | None = None,
        subfolder: str = "",
        variant: str | None = None,
        attn_implementation: str | None = None,
        output_loading_info: bool = False,
        ignore_unexpected_keys: bool = False,
        **changes: Any,
    ) -> ModelT:
        """Load a model, in evaluation mode. On the CPU the weights stay mapped from the file until they are used.

        Args:
            pretrained_model_name_or_path: a folder on disk, or a repo's id on the Hub; None: `config` and `state_dict` say
                everything.
            *model_args: arguments of the class after the config.
            config: in place of the folder's config.json: a configuration, transformers' too, or where its file is.
            cache_dir: where downloaded files are kept; default: huggingface_hub's own cache.
            ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
            force_download: download files that are in the cache too.
            local_files_only: take files from the cache, and never ask the Hub.
            token: the Hub's token of the user; True: the one that is logged in; False: none.
            revision: branch, tag or commit of the repo.
            use_safetensors: whether to read safetensors, or PyTorch's pickles; default: safetensors where there are some.
            weights_only: read nothing but tensors from pickles; there is no other way.
            disable_mmap: read the files into memory, instead of mapping them.
            state_dict: the weights, in place of the folder's.
            dtype: the type of the weights (`torch.bfloat16` or "bfloat16"); default, and "auto": the config's `dtype`, else
                as stored.
            torch_dtype: another name of `dtype`.
            device_map: where to put the model, one device: "cuda:0", 0, or {"": "cuda:0"}.
            device: another name of `device_map`.
            subfolder: the folder in the folder or repo that the files lie in.
            variant: the part of the weight files' names that tells them from others, as in `model.fp16.safetensors`.
            attn_implementation: "sdpa" or "eager"; both are one here, and give attention weights where they are wanted.
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
        constructor = inspect.signature(cls).parameters.keys() - {"config"}
        no_fields = {*constructor, *IGNORED_LOADING, *UNSUPPORTED_LOADING}
        refuse_unknown(call, changes, {*no_fields, *RobertaPreLayerNormConfig.settable_names()})
        refuse_unsupported(call, changes, UNSUPPORTED_LOADING)
        _check_choices(call, weights_only, attn_implementation)
        options = LoadingOptions(
            state_dict=state_dict, dtype=_one_of(call, dtype=dtype, torch_dtype=torch_dtype),
            device=one_device(_one_of(call, device_map=device_map, device=device)), variant=variant,
            use_safetensors=use_safetensors, disable_mmap=disable_mmap, ignore_mismatched_sizes=ignore_mismatched_sizes,
            ignore_unexpected_keys=ignore_unexpected_keys,
        )  # fmt: skip
        hub = HubOptions(
            cache_dir=cache_dir, force_download=force_download, local_files_only=local_files_only, token=token,
            revision=revision, subfolder=subfolder,
        )  # fmt: skip
        arguments = {name: value for name, value in changes.items() if name in constructor}
        fields = {name: value for name, value in changes.items() if name not in no_fields}
        if not pretrained_model_name_or_path and (config is None or state_dict is None):
            raise ValueError(f"{call} needs a folder or a repo, or else both config and state_dict")
        location = Location(pretrained_model_name_or_path or "state_dict", **hub)
        config = config_to_load(location, config, hub, fields)
        model, info = load(cls, location, config, (model_args, arguments), options)
        return (model, info) if output_loading_info else model  # type: ignore[return-value]  # as transformers types it

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        *,
        push_to_hub: bool = False,
        max_shard_size: int | str = "5GB",
        safe_serialization: bool = True,
        variant: str | None = None,
        **options: Any,
    ) -> None:
        """Write config.json and safetensors.

        Args:
            save_directory: where to write; made if it does not exist.
            is_main_process: whether to write at all; false in all processes but one.
            state_dict: the weights to write, by the names of the model's; default: the model's own.
            push_to_hub: commit the files to the Hub too.
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
            safe_serialization: write safetensors; there is no other way.
            variant: a part of the weight files' names, as in `model.fp16.safetensors`.
            **options: where and how to push; see `UploadOptions`.

        Raises:
            TypeError: naming all unknown arguments at once.
            ValueError: if what would be written could not be loaded again, or naming arguments that cannot be; then
                nothing is written.
        """
        call = f"{type(self).__name__}.save_pretrained"
        refuse_unsupported(call, options, UNSUPPORTED_SAVING)
        push = {
            name: value for name, value in options.items() if name not in UNSUPPORTED_SAVING.keys() | IGNORED_SAVING
        }
        check_push(call, push_to_hub, push)
        if not safe_serialization:
            raise ValueError(f"{call} does not take safe_serialization=False: weights are written as safetensors only")
        if not is_main_process:
            return
        folder = Path(save_directory)
        names = save(self, folder, max_shard_size, variant, state_dict)
        if push_to_hub:
            upload(folder, names, weight_patterns(variant), **push)

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
            return upload(Path(folder), names, weight_patterns(variant), **push)


def _check_choices(call: str, weights_only: bool, attn_implementation: str | None) -> None:
    """Check options that have fewer values here than in transformers."""
    if not weights_only:
        raise ValueError(f"{call} does not take weights_only=False: nothing that a pickle asks for is executed")
    if attn_implementation not in (None, "sdpa", "eager"):
        raise ValueError(f"{call} takes no attn_implementation={attn_implementation!r}; there are 'sdpa' and 'eager'")


def _one_of(call: str, **names: Any) -> Any:
    """Return the value of an option that has two names."""
    values = [value for value in names.values() if value is not None]
    if any(value != values[0] for value in values):
        raise ValueError(f"{call} takes {' or '.join(names)}, which are one option, and not two values")
    return values[0] if values else None
