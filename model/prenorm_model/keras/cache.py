"""The key/value cache of a decoder: past tuples, as TensorFlow's classes have always had them.

Nothing in them is written to; a forward returns longer ones. So they go into and out of a `tf.function` or `jax.jit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from keras import ops

from prenorm_model.checks import check_past_tuples
from prenorm_model.keras.facts import Tensor

# Keys and values of each layer, and behind them those of the cross-attention, if any: [batch, heads, tokens, head size].
PastTuples: TypeAlias = Sequence[Sequence["Tensor | None"]]


class KeyValueCache:
    """Keys and values of the tokens seen so far, on their way through one forward.

    Attributes:
        layers: those of each layer, each [batch, heads, tokens, head size].
        cross: those of the encoder's states by layer, each [batch, heads, encoder length, head size]; computed once.

    Args:
        past_key_values: what an earlier forward returned; None: nothing was seen so far.

    Raises:
        ValueError: if a layer has neither two nor four tensors of four dimensions.
    """

    def __init__(self, past_key_values: PastTuples | None = None) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []
        self.cross: dict[int, tuple[Tensor, Tensor]] = {}
        for number, entries in enumerate(past_key_values or ()):
            pieces = [entry for entry in entries if entry is not None]
            check_past_tuples(number, [len(getattr(item, "shape", ())) for item in pieces])
            self.layers.append((pieces[0], pieces[1]))
            if len(pieces) == 4:
                self.cross[number] = pieces[2], pieces[3]

    def get_seq_length(self) -> int | None:
        """Return the number of tokens in the cache; None where a graph leaves it open.

        Returns:
            The length of the keys, pads included.
        """
        size = self.layers[0][0].shape[2] if self.layers else 0
        return size if isinstance(size, int) else None

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add a layer's new keys and values.

        Args:
            layer: the layer's number.
            keys: [batch, heads, new tokens, head size].
            values: the same shape.

        Returns:
            All keys and all values of the layer, each [batch, heads, tokens, head size].
        """
        if layer == len(self.layers):
            self.layers.append((keys, values))
        else:
            past_keys, past_values = self.layers[layer]
            keys = ops.concatenate([ops.cast(past_keys, keys.dtype), keys], axis=2)
            values = ops.concatenate([ops.cast(past_values, values.dtype), values], axis=2)
            self.layers[layer] = keys, values
        return keys, values

    def to_legacy_cache(self) -> tuple[tuple[Tensor, ...], ...]:
        """Return the cache as past tuples.

        Returns:
            Keys and values of each layer, each [batch, heads, past, head size].
        """
        return tuple((*pair, *self.cross.get(number, ())) for number, pair in enumerate(self.layers))


def as_cache(past_key_values: object) -> KeyValueCache | None:
    """Return the cache that a caller means.

    Args:
        past_key_values: past tuples, or None.

    Returns:
        The cache; None for None.

    Raises:
        ValueError: if it is anything else, or a layer of the tuples has neither two nor four tensors of four dimensions.
    """
    if past_key_values is None or isinstance(past_key_values, tuple | list):
        return None if past_key_values is None else KeyValueCache(past_key_values)
    raise ValueError(
        f"past_key_values is a {type(past_key_values).__name__}; pass what an earlier forward returned, or past tuples"
    )
