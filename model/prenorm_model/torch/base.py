"""What all models share: initialization, tied weights, loading and saving, resizing, gradient checkpointing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import ModelOutput

Model = TypeVar("Model", bound="PretrainedModel")
BASE_PREFIX = "roberta_prelayernorm"


class PretrainedModel(nn.Module):
    """A module with a config that loads from, and saves to, a folder. Subclasses end `__init__` with `finish_init`.

    `base_prefix` is the name under which a model with a head holds the headless one; empty for that one itself.
    """

    base_prefix = BASE_PREFIX

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.config = config

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """Parameters that are another one's: alias -> the name under which it is saved."""
        return {}

    # -- initialization

    def finish_init(self) -> None:
        """Initializes the weights (unless they are on the meta device, to be loaded) and ties what is tied."""
        self.apply(self.initialize)
        self.tie_weights()

    def initialize(self, module: nn.Module) -> None:
        """Fresh weights for one module, from torch's generator: normal with `initializer_range`, biases and pads zero."""
        if not isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm) or module.weight.is_meta:
            return
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            return
        nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        elif module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()

    def tie_weights(self) -> None:
        """Makes every alias of `tied_names` the very parameter it stands for."""
        for alias, name in self.tied_names(self.config).items():
            owner, _, leaf = alias.rpartition(".")
            setattr(self.get_submodule(owner), leaf, self.get_parameter(name))

    # -- folders

    @classmethod
    def from_pretrained(
        cls: type[Model],
        folder_or_repo: str | Path,
        *,
        config: RobertaPreLayerNormConfig | None = None,
        revision: str | None = None,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        ignore_mismatched_sizes: bool = False,
        **changes: Any,
    ) -> Model:
        """Loads a model, in evaluation mode. On the CPU the weights stay mapped from the file until they are used.

        Args:
            folder_or_repo: a folder on disk, or a repo's id on the Hub.
            config: in place of the folder's config.json.
            revision: branch, tag or commit of the repo.
            dtype: the type of the weights (`torch.bfloat16` or "bfloat16"); default, and "auto": as stored.
            device: where to put the model.
            ignore_mismatched_sizes: initialize weights anew whose shape is not the stored one, instead of refusing.
            changes: fields of the config to change (`num_labels=3`), and arguments of the class (`add_pooling_layer`).

        Raises:
            ValueError: listing missing, unexpected and mismatched keys, if there are any. A head that is missing whole is
                initialized anew instead, with one warning that names it; heads of other tasks are passed over.
            FileNotFoundError: if there is no config.json or no weights.
        """
        from prenorm_model.torch.loading import load

        return load(
            cls, folder_or_repo, config=config, revision=revision, dtype=dtype, device=device,
            ignore_mismatched_sizes=ignore_mismatched_sizes, changes=changes,
        )  # fmt: skip

    def save_pretrained(self, folder: str | Path, *, max_shard_size: int | str = "5GB") -> None:
        """Writes config.json and safetensors into `folder`, which is made if it does not exist.

        Args:
            max_shard_size: above it, the weights are cut into files of at most that size, with an index.
        """
        from prenorm_model.torch.saving import save

        save(self, Path(folder), max_shard_size)

    def saved_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by the name under which they are saved: aliases of tied ones left out."""
        aliases = self.tied_names(self.config)
        return {name: item for name, item in self.named_parameters(remove_duplicate=False) if name not in aliases}

    def result(self, output: ModelOutput, return_dict: bool | None) -> Any:
        """`output`, or its tuple where the call, else the config, asks for one."""
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    # -- the parts

    @property
    def base_model(self) -> nn.Module:
        """The model without its head; for the headless model, itself."""
        return self.get_submodule(self.base_prefix) if self.base_prefix else self

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.get_input_embeddings().weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.get_input_embeddings().weight.device

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        found = self.base_model.get_submodule("embeddings.word_embeddings")
        assert isinstance(found, nn.Embedding)
        return found

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replaces the word embeddings; a tied head follows."""
        self.base_model.get_submodule("embeddings").word_embeddings = value
        self.tie_weights()

    def resize_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Makes the vocabulary `new_num_tokens` long: rows are cut off at the end, or added with fresh weights.

        Rows that stay keep their bits; the LM head follows, with a zero bias for new tokens.

        Raises:
            ValueError: if that would cut off the pad, or is no positive number.
        """
        if new_num_tokens <= self.config.pad_token_id:
            raise ValueError(f"new_num_tokens is {new_num_tokens}; the pad's row {self.config.pad_token_id} must stay")
        table = self.get_input_embeddings()
        table.weight = nn.Parameter(self._resized(table.weight, new_num_tokens, self.config.initializer_range))
        table.num_embeddings = self.config.vocab_size = new_num_tokens
        self._resize_head(new_num_tokens)
        self.tie_weights()
        return table

    def _resize_head(self, new_num_tokens: int) -> None:
        """Lets the LM head follow, where there is one."""

    def _resized(self, old: Tensor, rows: int, spread: float) -> Tensor:
        """`old` with `rows` rows; new ones are drawn with standard deviation `spread`."""
        with torch.no_grad():
            new = (
                old.new_empty(rows, *old.shape[1:]).normal_(std=spread)
                if spread
                else old.new_zeros(rows, *old.shape[1:])
            )
            kept = min(rows, len(old))
            new[:kept] = old[:kept]
        return new

    # -- training

    def gradient_checkpointing_enable(self) -> None:
        """Computes each layer twice in training, and keeps only its input in between."""
        self.base_model.get_submodule("encoder").gradient_checkpointing = True  # type: ignore[assignment]

    def gradient_checkpointing_disable(self) -> None:
        """Keeps what the layers computed, as usual."""
        self.base_model.get_submodule("encoder").gradient_checkpointing = False  # type: ignore[assignment]
