"""Token, position and token-type embeddings, summed and normalized."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.config import RobertaPreLayerNormConfig


def positions_from_ids(input_ids: Tensor, pad_token_id: int) -> Tensor:
    """Position ids as fairseq counts them: pads have `pad_token_id`, the others count on from `pad_token_id + 1`.

    Args:
        input_ids: [batch, length], int64.

    Returns:
        [batch, length], int64.
    """
    real = input_ids.ne(pad_token_id)
    return real.cumsum(dim=1) * real + pad_token_id


class RobertaPreLayerNormEmbeddings(nn.Module):
    """word + token type + position, then LayerNorm and dropout."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.pad_token_id = config.pad_token_id
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(
            config.max_position_embeddings, config.hidden_size, padding_idx=config.pad_token_id
        )
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """[batch, length] ids -> [batch, length, hidden]."""
        if position_ids is None:
            position_ids = positions_from_ids(input_ids, self.pad_token_id)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        summed = (
            self.word_embeddings(input_ids)
            + self.token_type_embeddings(token_type_ids)
            + self.position_embeddings(position_ids)
        )
        embedded: Tensor = self.dropout(self.LayerNorm(summed))
        return embedded
