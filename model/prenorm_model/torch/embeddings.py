"""Token, position and token-type embeddings, summed and normalized."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig


def positions_from_ids(input_ids: Tensor, pad_token_id: int, past: Tensor | int = 0) -> Tensor:
    """Return position ids as fairseq counts them: pads have `pad_token_id`, the others count on from `pad_token_id + 1`.

    Args:
        input_ids: [batch, length], int64.
        pad_token_id: the pad's id.
        past: how many tokens that are no pads came before, for all rows or [batch, 1].

    Returns:
        [batch, length], int64.
    """
    real = input_ids.ne(pad_token_id)
    return (real.cumsum(dim=1) + past) * real + pad_token_id


def default_positions(
    input_ids: Tensor | None,
    shape: tuple[int, int],
    config: RobertaPreLayerNormConfig,
    past: Tensor | int,
    device: torch.device,
) -> Tensor:
    """Return the positions where the caller gives none: counted from the ids, or simply in order for given embeddings.

    Args:
        input_ids: [batch, length], int64; None: the caller gave embeddings.
        shape: batch and length.
        config: the model's configuration.
        past: how many tokens that are no pads came before, for all rows or [batch, 1].
        device: where to make the positions of given embeddings.

    Returns:
        [batch, length], int64.
    """
    if input_ids is not None:
        return positions_from_ids(input_ids, config.pad_token_id, past)
    first = config.pad_token_id + 1
    in_order = torch.arange(first, first + shape[1], device=device)[None]
    return (in_order + past).expand(shape)


class RobertaPreLayerNormEmbeddings(nn.Module):
    """word + token type + position, then LayerNorm (not in `xlm-roberta-xl`) and dropout.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.adds_positions = config.position_embedding_type == "absolute"
        # In transformers' order, here and in all modules: an optimizer's state knows its parameters by their order alone.
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.normalizes_embeddings else None
        )
        self.position_embeddings = nn.Embedding(
            config.max_position_embeddings, config.hidden_size, padding_idx=config.pad_token_id
        )
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, position_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Embed tokens, in any arrangement.

        Args:
            words: ids [...] or their embeddings [..., hidden].
            position_ids: [...].
            token_type_ids: [...]; None: all of type 0.

        Returns:
            [..., hidden].
        """
        x = words if words.is_floating_point() else self.word_embeddings(words)
        if token_type_ids is None:
            x = x + self.token_type_embeddings.weight[0]
        else:
            x = x + self.token_type_embeddings(token_type_ids)
        if self.adds_positions:
            x = x + self.position_embeddings(position_ids)
        if self.LayerNorm is not None:
            x = self.LayerNorm(x)
        embedded: Tensor = self.dropout(x)
        return embedded
