"""The cache of a decoder: indexed, cropped, reordered, made of and into past tuples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from helpers.model_pairs import NAMES, SMALL, apart, pair
from prenorm_model import KeyValueCache

CAUSAL = NAMES[1]
STATES = torch.randn(3, 7, SMALL["hidden_size"], generator=torch.Generator().manual_seed(4)).double()


@pytest.fixture(params=[False, True], ids=["gradients", "no gradients"], autouse=True)
def _both_ways_to_grow(request: pytest.FixtureRequest) -> Any:
    """With gradients tokens are concatenated, without they are written into a buffer."""
    with torch.set_grad_enabled(not request.param):
        yield


def filled(*, cross: bool = False, tokens: int = 8) -> tuple[Any, torch.Tensor, dict[str, Any], KeyValueCache]:
    """A model, ids of full rows, options, and the cache of the first tokens, filled in three steps."""
    net, _ = pair(CAUSAL, add_cross_attention=cross)
    ids = torch.randint(2, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    options = {"encoder_hidden_states": STATES} if cross else {}
    cache = None
    for start, end in ((0, tokens - 2), (tokens - 2, tokens - 1), (tokens - 1, tokens)):
        cache = net(ids[:, start:end], past_key_values=cache, use_cache=True, **options).past_key_values
    return net, ids, options, cache


@pytest.mark.parametrize("cross", [False, True])
def test_past_tuples_are_what_transformers_keeps_and_go_back(cross: bool) -> None:
    net, ids, options, cache = filled(cross=cross)
    _, theirs = pair(CAUSAL, add_cross_attention=cross)
    kept = theirs(ids[:, :8], use_cache=True, **options).past_key_values
    for number, layer in enumerate(kept.self_attention_cache.layers if cross else kept.layers):
        assert apart(cache[number][0], layer.keys) < 1e-10
        assert apart(cache[number][1], layer.values) < 1e-10
        assert apart(cache.layers[number].keys, layer.keys) < 1e-10
    assert len(cache) == len(list(cache)) == 2
    assert cache[-1][0].shape == cache[1][0].shape == (3, 4, 8, 6)
    with pytest.raises(IndexError):
        cache[2]
    past = cache.to_legacy_cache()
    assert [len(layer) for layer in past] == [4 if cross else 2] * 2
    back = KeyValueCache.from_legacy_cache(past).to_legacy_cache()
    assert all(torch.equal(*pair) for layers in zip(past, back, strict=True) for pair in zip(*layers, strict=True))
    expected = net(ids, use_cache=False, **options).logits[:, 8:]
    for given in (past, [list(layer) for layer in past], KeyValueCache.from_legacy_cache(past)):
        assert apart(net(ids[:, 8:], past_key_values=given, **options).logits, expected) < 1e-10
    if not cross:
        assert apart(net(ids[:, 8:], past_key_values=tuple(kept)).logits, expected) < 1e-10


@pytest.mark.parametrize(("to", "left"), [(5, 5), (-3, 5), (20, 8), (0, 0), (-9, 0)])
def test_cropped_it_goes_on_from_there(to: int, left: int) -> None:
    net, ids, _, cache = filled()
    past = [[item.clone() for item in layer] for layer in cache]
    views = cache.to_legacy_cache()
    cache.crop(to)
    assert cache.get_seq_length() == cache.get_seq_length(1) == left
    other = ids.flip(0)
    net(other[:, left : left + 1], past_key_values=cache)
    rest = net(other[:, left + 1 :], past_key_values=cache).logits
    mixed = torch.cat([ids[:, :left], other[:, left:]], dim=1)
    assert apart(rest, net(mixed, use_cache=False).logits[:, left + 1 :]) < 1e-10
    for old, new in zip(past, views, strict=True):  # what was taken out before is as it was
        assert apart(old[0], new[0]) == apart(old[1], new[1]) == 0.0


@pytest.mark.parametrize("cross", [False, True])
def test_rows_reordered_selected_and_repeated(cross: bool) -> None:
    net, ids, _, _ = filled(cross=cross)
    ids = ids.clone()
    ids[1, :3] = 1  # its positions count differently
    mask = ids.ne(1).long()
    rows = {"reorder_cache": torch.tensor([2, 0, 0]), "batch_select_indices": torch.tensor([1, 2])}
    for method, order in (*rows.items(), ("batch_repeat_interleave", torch.tensor([0, 0, 1, 1, 2, 2]))):
        options = {"encoder_hidden_states": STATES} if cross else {}
        cache = net(ids[:, :8], mask[:, :8], use_cache=True, **options).past_key_values
        getattr(cache, method)(2 if "repeat" in method else order)
        options = {"encoder_hidden_states": STATES[order]} if cross else {}
        rest = net(ids[order, 8:], mask[order], past_key_values=cache, **options).logits
        expected = net(ids[order], mask[order], use_cache=False, **options).logits[:, 8:]
        assert apart(rest, expected) < 1e-10


def test_positions_are_counted_from_what_is_left_after_cropping() -> None:
    net, ids, _, _ = filled()
    ids = ids.clone()
    ids[1, :3] = ids[2, 6:8] = 1
    mask = ids.ne(1).long()
    cache = net(ids[:, :8], mask[:, :8], use_cache=True).past_key_values
    cache.crop(6)  # pads of row 2 are gone, those of row 1 are not
    rest = net(ids[:, 6:], mask, past_key_values=cache).logits
    real = mask[:, 6:].bool()
    assert apart(rest[real], net(ids, mask, use_cache=False).logits[:, 6:][real]) < 1e-10


def test_a_buffer_grows_past_its_room() -> None:
    """A layer's buffer has room for 64 tokens more than are needed; a text of 200 passes it twice."""
    net, _ = pair(CAUSAL, max_position_embeddings=220)
    ids = torch.randint(2, 50, (2, 200), generator=torch.Generator().manual_seed(0))
    full = net(ids, use_cache=False).logits
    cache = None
    for start in range(0, 200, 5):
        step = net(ids[:, start : start + 5], past_key_values=cache, use_cache=True)
        cache = step.past_key_values
        assert apart(step.logits, full[:, start : start + 5]) < 1e-9


def test_another_librarys_cache_is_refused() -> None:
    """It would not grow in the caller's hands, as it does in its own library."""
    net, ids, _, _ = filled()
    with pytest.raises(ValueError, match="past_key_values is a DynamicCache; pass what an earlier forward returned"):
        net(ids, past_key_values=DynamicCache())
