"""What all models share: loading and saving, and what other people's tools look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import ModelOutput
from prenorm_model.torch.checkpointing import CheckpointingModule
from prenorm_model.torch.inspection import InspectableModule
from prenorm_model.torch.loading import load
from prenorm_model.torch.resizing import ResizableModule
from prenorm_model.torch.saving import save

ModelT = TypeVar("ModelT", bound="PretrainedModel")


class PretrainedModel(ResizableModule, InspectableModule, CheckpointingModule):
    """A model that loads from, and saves to, a folder.

    Attributes:
        accepts_loss_kwargs: whether the loss divides by `num_items_in_batch`; where it does not, `Trainer` divides it by
            the number of batches whose gradients it adds.

    Args:
        config: the model's configuration.
    """

    accepts_loss_kwargs = False
    _keys_to_ignore_on_save = None  # `Trainer` looks at it where a checkpoint lacks a weight
    _no_split_modules = ("Layer",)  # what FSDP wraps and a map of devices keeps whole

    @classmethod
    def from_pretrained(
        cls: type[ModelT],
        folder_or_repo: str | Path,
        *,
        config: RobertaPreLayerNormConfig | None = None,
        revision: str | None = None,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        ignore_mismatched_sizes: bool = False,
        ignore_unexpected_keys: bool = False,
        **changes: Any,
    ) -> ModelT:
        """Load a model, in evaluation mode. On the CPU the weights stay mapped from the file until they are used.

        Args:
            folder_or_repo: a folder on disk, or a repo's id on the Hub.
            config: in place of the folder's config.json.
            revision: branch, tag or commit of the repo.
            dtype: the type of the weights (`torch.bfloat16` or "bfloat16"); default, and "auto": as stored.
            device: where to put the model; default: the CPU.
            ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
            ignore_unexpected_keys: leave out stored weights that the model has no use for, instead of refusing.
            **changes: fields of the config to change (`num_labels=3`), and arguments of the class (`add_pooling_layer`).

        Returns:
            The model. A head that is missing whole is initialized anew, with one warning that names it; heads of other
            tasks are passed over.

        Raises:
            ValueError: listing missing, unexpected and mismatched keys, or naming an argument that cannot be.
            FileNotFoundError: if there is no config.json or no weights.
        """
        return load(
            cls, folder_or_repo, config=config, revision=revision, dtype=dtype, device=device,
            ignore_mismatched_sizes=ignore_mismatched_sizes, ignore_unexpected_keys=ignore_unexpected_keys, changes=changes,
        )  # fmt: skip

    def save_pretrained(self, folder: str | Path, *, max_shard_size: int | str = "5GB") -> None:
        """Write config.json and safetensors.

        Args:
            folder: where to write; made if it does not exist.
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
        """
        save(self, Path(folder), max_shard_size)

    def result(self, output: ModelOutput[Tensor], return_dict: bool | None) -> Any:
        """Return an output as the caller wants it.

        Args:
            output: the output.
            return_dict: whether to return it as it is, and not as a tuple; None: the config's `return_dict`.

        Returns:
            The output, or a tuple of its fields that are not None.
        """
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()
