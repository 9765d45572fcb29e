"""Token, position and token-type embeddings, summed and normalized."""

from __future__ import annotations

from flax import nnx
from jax import Array, lax
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.context import FlaxContext
from prenorm_model.flax.dropout import drop
from prenorm_model.flax.linear import Making, norm, table


def positions_from_ids(input_ids: Array, pad_token_id: int, past: Array | int = 0) -> Array:
    """Return position ids as fairseq counts them: pads have `pad_token_id`, the others count on from `pad_token_id + 1`.

    Args:
        input_ids: [batch, length], integers.
        pad_token_id: the pad's id.
        past: how many tokens that are no pads came before, for all rows or [batch, 1].

    Returns:
        [batch, length], int32.
    """
    real = (input_ids != pad_token_id).astype(jnp.int32)
    return (jnp.cumsum(real, axis=1) + past) * real + pad_token_id


class FlaxRobertaPreLayerNormEmbeddings(nnx.Module):
    """word + token type + position, then LayerNorm (not in `xlm-roberta-xl`) and dropout.

    Args:
        config: the model's configuration.
        making: how parameters are made.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making) -> None:
        self.adds_positions = config.position_embedding_type == "absolute"
        self.pad_token_id = config.pad_token_id
        self.word_embeddings = table(config.vocab_size, config.hidden_size, making)
        self.token_type_embeddings = table(config.type_vocab_size, config.hidden_size, making)
        self.LayerNorm = norm(config, making) if config.normalizes_embeddings else None
        self.position_embeddings = table(config.max_position_embeddings, config.hidden_size, making)
        self.dropout = config.hidden_dropout_prob

    def __call__(
        self, input_ids: Array, position_ids: Array, token_type_ids: Array | None, context: FlaxContext
    ) -> Array:
        """Embed tokens, in any arrangement.

        Args:
            input_ids: [...].
            position_ids: [...].
            token_type_ids: [...]; None: all of type 0.
            context: dropout.

        Returns:
            [..., hidden].
        """
        x = self._embed(self.word_embeddings, input_ids)
        x = x + self.token_type_embeddings(jnp.zeros(1, jnp.int32) if token_type_ids is None else token_type_ids)
        if self.adds_positions:
            x = x + self._embed(self.position_embeddings, position_ids)
        if self.LayerNorm is not None:
            x = self.LayerNorm(x)
        return drop(self.dropout, x, context.dropout_key)

    def _embed(self, rows: nnx.Embed, ids: Array) -> Array:
        """Look ids up; the pad's row takes part, but is not trained, as in PyTorch."""
        embedded = rows(ids)
        return jnp.where((ids == self.pad_token_id)[..., None], lax.stop_gradient(embedded), embedded)
