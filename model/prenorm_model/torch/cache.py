"""The key/value cache of a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from prenorm_model.checks import check_past_tuples
from prenorm_model.torch.facts import are_values_known

_GROWTH = 64  # tokens by which a layer's buffer grows, so that generating does not copy it for every token


# Keys and values of each layer, and behind them those of the cross-attention, if any: [batch, heads, tokens, head size].
PastTuples: TypeAlias = Sequence[Sequence["Tensor | None"]]


@dataclass
class LayerCache:
    """The keys and values of one layer.

    Attributes:
        key_buffer: [batch, heads, room, head size], of which the first `length` tokens are filled.
        value_buffer: the same.
        length: number of tokens.
    """

    key_buffer: Tensor
    value_buffer: Tensor
    length: int

    @property
    def keys(self) -> Tensor:
        """The keys, [batch, heads, tokens, head size]."""
        return self.key_buffer[:, :, : self.length]

    @property
    def values(self) -> Tensor:
        """The values, [batch, heads, tokens, head size]."""
        return self.value_buffer[:, :, : self.length]


@dataclass
class KeyValueCache:
    """Keys and values of the tokens seen so far.

    Indexed and iterated over it gives each layer's keys and values, and behind them those of the cross-attention, if any:
    the past tuples of transformers before its caches.

    Attributes:
        layers: those of each layer.
        cross: those of the encoder's states by layer, each [batch, heads, encoder length, head size]; computed once.
        real: bool [batch, tokens], false at pads, which take no position; None as long as it is not known of any.
    """

    layers: list[LayerCache] = field(default_factory=list)
    cross: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    real: Tensor | None = None

    @classmethod
    def from_legacy_cache(cls, past_key_values: PastTuples) -> KeyValueCache:
        """Return the cache that past tuples hold; all their tokens count as real ones.

        Args:
            past_key_values: the tuples.

        Returns:
            The cache.

        Raises:
            ValueError: if a layer has neither two nor four tensors of four dimensions.
        """
        cache = cls()
        for number, entries in enumerate(past_key_values):
            pieces = [entry for entry in entries if entry is not None]
            check_past_tuples(number, [item.dim() if isinstance(item, Tensor) else 0 for item in pieces])
            cache.layers.append(LayerCache(pieces[0], pieces[1], pieces[0].shape[2]))
            if len(pieces) == 4:
                cache.cross[number] = pieces[2], pieces[3]
        return cache

    def to_legacy_cache(self) -> tuple[tuple[Tensor, ...], ...]:
        """Return the cache as past tuples: what indexing gives, of all layers.

        Returns:
            Of each layer keys and values, each [batch, heads, past, head size]; with cross-attention the encoder's, too.
        """
        return tuple(self)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __getitem__(self, layer: int) -> tuple[Tensor, ...]:
        """Return a layer's keys and values, and behind them those of the cross-attention, if any."""
        number = range(len(self.layers))[layer]
        return self.layers[number].keys, self.layers[number].values, *self.cross.get(number, ())

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Iterate over the layers as `__getitem__` gives them."""
        return (self[number] for number in range(len(self.layers)))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens in the cache.

        Args:
            layer_idx: the layer's number; all layers hold the same tokens.

        Returns:
            How many there are.
        """
        return self.layers[layer_idx].length if layer_idx < len(self.layers) else 0

    def crop(self, max_length: int) -> None:
        """Forget the last tokens.

        Args:
            max_length: how many tokens to keep at most; negative: how many to forget.
        """
        tokens = self.get_seq_length()
        length = min(max_length if max_length >= 0 else max(tokens + max_length, 0), tokens)
        for layer in self.layers:
            # Cut off, not overwritten later on: past tuples may look at the same memory.
            layer.key_buffer, layer.value_buffer = layer.key_buffer[:, :, :length], layer.value_buffer[:, :, :length]
            layer.length = length
        self.real = None if self.real is None else self.real[:, :length]

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put the rows into another order, or take some of them, some several times.

        Args:
            beam_idx: [new batch], the old number of each new row.
        """
        self._change_rows(lambda x: x.index_select(0, beam_idx.to(x.device)))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the rows.

        Args:
            indices: [new batch], their numbers.
        """
        self.reorder_cache(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row.

        Args:
            repeats: how often it is there afterwards.
        """
        self._change_rows(lambda x: x.repeat_interleave(repeats, dim=0))

    def _change_rows(self, change: Callable[[Tensor], Tensor]) -> None:
        """Apply a function of rows to all tensors."""
        for layer in self.layers:
            layer.key_buffer, layer.value_buffer = change(layer.keys), change(layer.values)
        self.cross = {number: (change(keys), change(values)) for number, (keys, values) in self.cross.items()}
        self.real = None if self.real is None else change(self.real)

    def add_real(self, real: Tensor) -> Tensor:
        """Note which of the tokens to come are real ones; called before the layers add theirs.

        Args:
            real: bool [batch, new tokens], false at pads.

        Returns:
            [batch, 1], the number of real tokens before them.
        """
        before = self.real
        if before is None:
            before = real.new_ones(real.shape[0], self.get_seq_length())  # `len` would fix an exported size
        self.real = torch.cat([before, real], dim=1)
        return before.sum(dim=1, keepdim=True)

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
            self.layers.append(LayerCache(keys, values, keys.shape[2]))
            return keys, values
        cached = self.layers[layer]
        start, end = cached.length, cached.length + keys.shape[2]
        if torch.is_grad_enabled() or not are_values_known():
            # Writing into a buffer would break the graph of what was computed from it.
            cached.key_buffer = torch.cat([cached.keys, keys], dim=2)
            cached.value_buffer = torch.cat([cached.values, values], dim=2)
        else:
            if end > cached.key_buffer.shape[2]:
                cached.key_buffer = _grow(cached.keys, end)
                cached.value_buffer = _grow(cached.values, end)
            cached.key_buffer[:, :, start:end] = keys
            cached.value_buffer[:, :, start:end] = values
        cached.length = end
        return cached.keys, cached.values


def as_cache(past_key_values: object) -> KeyValueCache | None:
    """Return the cache that a caller means.

    Args:
        past_key_values: a cache, past tuples, or None.

    Returns:
        The cache; None for None.

    Raises:
        ValueError: if it is anything else, or a layer of the tuples has neither two nor four tensors of four dimensions.
    """
    if past_key_values is None or isinstance(past_key_values, KeyValueCache):
        return past_key_values
    if isinstance(past_key_values, tuple | list):
        return KeyValueCache.from_legacy_cache(past_key_values)
    raise ValueError(
        f"past_key_values is a {type(past_key_values).__name__}; pass what an earlier forward returned, or past tuples"
    )


def _grow(filled: Tensor, needed: int) -> Tensor:
    """Return a buffer that begins with what is filled, [batch, heads, tokens, size], with room for more than `needed`."""
    batch, heads, used, size = filled.shape
    larger = filled.new_empty(batch, heads, needed + _GROWTH, size)
    larger[:, :, :used] = filled
    return larger


# What a forward takes as `past_key_values`.
PastKeyValues: TypeAlias = KeyValueCache | PastTuples
