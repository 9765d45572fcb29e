"""What all models share: loading and saving, and what other people's tools look for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from prenorm_model.outputs import ModelOutput
from prenorm_model.torch.checkpointing import CheckpointingModule
from prenorm_model.torch.conversion import ConvertibleModule
from prenorm_model.torch.inspection import InspectableModule
from prenorm_model.torch.pretrained import SavedModule
from prenorm_model.torch.resizing import ResizableModule


class PretrainedModel(ResizableModule, InspectableModule, CheckpointingModule, ConvertibleModule, SavedModule):
    """A model: it loads and saves, resizes, and trains.

    Attributes:
        accepts_loss_kwargs: whether the loss divides by `num_items_in_batch`; where it does not, `Trainer` divides it by
            the number of batches whose gradients it adds.

    Args:
        config: the model's configuration.
    """

    accepts_loss_kwargs = False
    _keys_to_ignore_on_save = None  # `Trainer` looks at it where a checkpoint lacks a weight
    _no_split_modules = ("Layer",)  # what FSDP wraps and a map of devices keeps whole

    def result(self, output: ModelOutput[Tensor], return_dict: bool | None) -> Any:
        """Return an output as the caller wants it.

        Args:
            output: the output.
            return_dict: whether to return it as it is, and not as a tuple; None: the config's `return_dict`.

        Returns:
            The output, or a tuple of its fields that are not None.
        """
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()
