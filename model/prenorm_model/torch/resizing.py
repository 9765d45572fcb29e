"""The word embeddings and the map onto the vocabulary: to look at, to replace, to resize."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prenorm_model.torch.module import ConfiguredModule

# Of new rows, as a share of the old rows' covariance: as good as their mean, yet no two alike.
_SHARE_OF_COVARIANCE = 1e-9


class ResizableModule(ConfiguredModule):
    """A model whose vocabulary can change.

    Args:
        config: the model's configuration.
    """

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word embeddings; a tied head follows.

        Args:
            value: the new ones, [vocab, hidden].
        """
        self.base_model.get_submodule("embeddings").word_embeddings = value
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | None:
        """Return the map onto the vocabulary; None where there is none.

        Returns:
            The map, from hidden to vocab.
        """
        return None

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the map onto the vocabulary.

        Args:
            new_embeddings: the new one, from hidden to vocab. Another matrix than the word embeddings' unties the two.

        Raises:
            ValueError: of a model without one.
        """
        raise ValueError(f"{type(self).__name__} has no map onto the vocabulary")

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Change the size of the vocabulary: rows are cut off at the end, or added.

        Rows that stay keep their bits; the LM head follows.

        Args:
            new_num_tokens: the number of rows; default: as many as there are.
            pad_to_multiple_of: round that up to a multiple of this.
            mean_resizing: draw new rows around the mean of the old ones, so that a language model gives new tokens no more
                than the usual probability (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models");
                else as all weights are drawn, with a zero bias.

        Returns:
            The word embeddings, [new number of rows, hidden].

        Raises:
            ValueError: if that would cut off the pad, or an argument is no positive number.
        """
        table = self.get_input_embeddings()
        rows = table.num_embeddings if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of is not None:
            if not isinstance(pad_to_multiple_of, int) or pad_to_multiple_of < 1:
                raise ValueError(f"pad_to_multiple_of is {pad_to_multiple_of}, not a positive integer")
            rows = -(-rows // pad_to_multiple_of) * pad_to_multiple_of
        if rows <= self.config.pad_token_id:
            raise ValueError(f"new_num_tokens is {rows}; the pad's row {self.config.pad_token_id} must stay")
        if rows != table.num_embeddings:
            table.weight = resized(table.weight, rows, None if mean_resizing else self.config.initializer_range)
            table.num_embeddings = self.config.vocab_size = rows
            self._resize_head(rows, mean_resizing=mean_resizing)
            self.tie_weights()
        return table

    def _resize_head(self, rows: int, *, mean_resizing: bool) -> None:
        """Let the LM head follow, where there is one."""


def resized(old: Tensor, rows: int, spread: float | None) -> nn.Parameter:
    """Return a parameter with another number of rows.

    Args:
        old: a parameter, [old rows, ...].
        rows: how many there shall be.
        spread: the standard deviation of new rows, whose mean is zero; None: draw them around the mean of the old ones.

    Returns:
        [rows, ...]; the rows that stay are the old ones, bit for bit.
    """
    with torch.no_grad():
        new = old.new_empty(rows, *old.shape[1:])
        kept = min(rows, len(old))
        new[:kept] = old[:kept]
        if spread is None:
            new[kept:] = _around_mean(old.reshape(len(old), -1), rows - kept).view(-1, *old.shape[1:])
        else:
            new[kept:].normal_(std=spread)
    return nn.Parameter(new, requires_grad=old.requires_grad)


def _around_mean(old: Tensor, count: int) -> Tensor:
    """Return rows drawn around others' mean, with a share of their covariance: [rows, width] -> [count, width]."""
    wide = old if old.dtype == torch.float64 else old.float()
    mean = wide.mean(dim=0)
    centred = wide - mean
    factor, failed = torch.linalg.cholesky_ex(centred.T @ centred / len(wide))
    rows = mean.expand(count, -1)
    if not failed:  # as it does where there are fewer rows than features
        rows = rows + torch.randn_like(rows) @ factor.T * _SHARE_OF_COVARIANCE**0.5
    return rows.to(old.dtype)
