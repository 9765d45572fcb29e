"""What all models share: loading and saving, resizing, gradient checkpointing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prenorm_model.outputs import ModelOutput
from prenorm_model.torch.pretrained import SavedModule


class PretrainedModel(SavedModule):
    """A model: it loads and saves, resizes, and trains.

    Args:
        config: the model's configuration.
    """

    def result(self, output: ModelOutput[Tensor], return_dict: bool | None) -> Any:
        """Return an output as the caller wants it.

        Args:
            output: the output.
            return_dict: whether to return it as it is, and not as a tuple; None: the config's `return_dict`.

        Returns:
            The output, or a tuple of its fields that are not None.
        """
        return output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word embeddings; a tied head follows.

        Args:
            value: the new ones, [vocab, hidden].
        """
        self.base_model.get_submodule("embeddings").word_embeddings = value
        self.tie_weights()

    def resize_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Change the size of the vocabulary: rows are cut off at the end, or added with fresh weights.

        Rows that stay keep their bits; the LM head follows, with a zero bias for new tokens.

        Args:
            new_num_tokens: the number of rows.

        Returns:
            The word embeddings, [new_num_tokens, hidden].

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
        """Let the LM head follow, where there is one."""

    def _resized(self, old: Tensor, rows: int, spread: float) -> Tensor:
        """Return `old` with `rows` rows; new ones are drawn with standard deviation `spread`."""
        with torch.no_grad():
            new = old.new_empty(rows, *old.shape[1:])
            new = new.normal_(std=spread) if spread else new.zero_()
            kept = min(rows, len(old))
            new[:kept] = old[:kept]
        return new

    def gradient_checkpointing_enable(self) -> None:
        """Compute each layer twice in training, and keep only its input in between."""
        self.base_model.get_submodule("encoder").gradient_checkpointing = True  # type: ignore[assignment]

    def gradient_checkpointing_disable(self) -> None:
        """Keep what the layers computed, as usual."""
        self.base_model.get_submodule("encoder").gradient_checkpointing = False  # type: ignore[assignment]
