"""Token, position and token-type embeddings, summed and normalized."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.facts import Tensor, is_floating
from prenorm_model.keras.linear import Block, Norm, Table


def positions_from_ids(input_ids: Tensor, pad_token_id: int, past: Tensor | int = 0) -> Tensor:
    """Return position ids as fairseq counts them: pads have `pad_token_id`, the others count on from `pad_token_id + 1`.

    Args:
        input_ids: [batch, length], integers.
        pad_token_id: the pad's id.
        past: how many tokens that are no pads came before, for all rows or [batch, 1].

    Returns:
        [batch, length], int32.
    """
    real = ops.cast(ops.not_equal(input_ids, pad_token_id), "int32")
    return (ops.cumsum(real, axis=1) + past) * real + pad_token_id


def default_positions(
    input_ids: Tensor | None, shape: tuple[Any, Any], config: RobertaPreLayerNormConfig, past: Tensor | int
) -> Tensor:
    """Return the positions where the caller gives none: counted from the ids, or simply in order for given embeddings.

    Args:
        input_ids: [batch, length], integers; None: the caller gave embeddings.
        shape: batch and length.
        config: the model's configuration.
        past: how many tokens that are no pads came before, for all rows or [batch, 1].

    Returns:
        [batch, length], int32.
    """
    if input_ids is not None:
        return positions_from_ids(input_ids, config.pad_token_id, past)
    in_order = ops.arange(shape[1], dtype="int32")[None] + (config.pad_token_id + 1)
    return ops.broadcast_to(in_order + past, shape)


class PaddedTable(Table):
    """A table in which one row stands for nothing: it begins as zero, and looking it up does not train it.

    As PyTorch's tables with a `padding_idx` do; a head that is tied to the table still trains the row.

    Args:
        rows: how many vectors.
        width: their size.
        config: the model's configuration; it says how fresh weights are drawn, and which row it is.
        name: the name of the attribute that holds it.
    """

    def __init__(self, rows: int, width: int, config: RobertaPreLayerNormConfig, name: str) -> None:
        super().__init__(rows, width, config, name)
        self.padding = config.pad_token_id
        self.embeddings_initializer = ZeroRow(config.initializer_range, self.padding)

    def call(self, inputs: Tensor) -> Tensor:
        """Look vectors up.

        Args:
            inputs: ids of any shape.

        Returns:
            The shape of the ids, and behind it the vectors' size.
        """
        vectors = super().call(inputs)
        return ops.where(ops.equal(inputs, self.padding)[..., None], ops.stop_gradient(vectors), vectors)


class ZeroRow(keras.initializers.RandomNormal):
    """Normal around zero, with one row of zeros.

    Args:
        spread: the standard deviation.
        row: the row's number.
    """

    def __init__(self, spread: float, row: int) -> None:
        super().__init__(stddev=spread)
        self.row = row

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        """Draw a table.

        Args:
            shape: its sizes.
            dtype: its type.

        Returns:
            The table.
        """
        drawn = super().__call__(shape, dtype)
        return ops.where(ops.equal(ops.arange(shape[0]), self.row)[:, None], ops.zeros_like(drawn), drawn)


class RobertaPreLayerNormEmbeddings(Block):
    """word + token type + position, then LayerNorm (not in `xlm-roberta-xl`) and dropout.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="embeddings")
        width = config.hidden_size
        self.adds_positions = config.position_embedding_type == "absolute"
        self.word_embeddings = PaddedTable(config.vocab_size, width, config, "word_embeddings")
        self.token_type_embeddings = Table(config.type_vocab_size, width, config, "token_type_embeddings")
        self.LayerNorm = Norm(config, "LayerNorm") if config.normalizes_embeddings else None
        self.position_embeddings = PaddedTable(config.max_position_embeddings, width, config, "position_embeddings")
        self.dropout = keras.layers.Dropout(config.hidden_dropout_prob)

    def call(self, words: Tensor, position_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Embed tokens, in any arrangement.

        Args:
            words: ids [...] or their embeddings [..., hidden].
            position_ids: [...].
            token_type_ids: [...]; None: all of type 0.

        Returns:
            [..., hidden].
        """
        x = words if is_floating(words) else self.word_embeddings(words)
        if token_type_ids is None:
            x = x + ops.cast(self.token_type_embeddings.embeddings[0], x.dtype)
        else:
            x = x + self.token_type_embeddings(token_type_ids)
        if self.adds_positions:
            x = x + self.position_embeddings(position_ids)
        if self.LayerNorm is not None:
            x = self.LayerNorm(x)
        return self.dropout(x)
