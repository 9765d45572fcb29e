"""Generation: greedy as transformers does it, sampling that can be repeated, left padding, ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from helpers.model_pairs import batch, pair
from prenorm_model.torch.generation import filter_logits

CAUSAL = "RobertaPreLayerNormForCausalLM"


def greedy_by_hand(net: Any, ids: torch.Tensor, steps: int) -> torch.Tensor:
    """Without a cache: the whole text again for every token."""
    for _ in range(steps):
        ids = torch.cat([ids, net(ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    return ids


def test_greedy_is_what_the_forward_says_ours_and_transformers() -> None:
    """Not transformers' own `generate`: it hands this model positions from 0, where its forward counts from pad + 1."""
    ours, theirs = pair(CAUSAL)
    ids = batch(rows=1)[0][:, :5]
    mine = ours.generate(ids, max_new_tokens=15, eos_token_id=-1)
    assert torch.equal(mine, greedy_by_hand(ours, ids, 15))
    assert torch.equal(mine, greedy_by_hand(theirs, ids, 15))


def test_a_left_padded_batch_gives_each_text_its_own_continuation() -> None:
    ours, _ = pair(CAUSAL)
    ids, _ = batch(left=True)
    made = ours.generate(ids, max_new_tokens=6, eos_token_id=-1)
    for row in range(len(ids)):
        alone = ids[row][ids[row] != 1][None]
        assert torch.equal(
            made[row, ids.shape[1] :], ours.generate(alone, max_new_tokens=6, eos_token_id=-1)[0, alone.shape[1] :]
        )


def test_it_stops_at_the_end_token_and_pads_behind_it() -> None:
    ours, _ = pair(CAUSAL)
    ids, _ = batch(left=True)
    free = ours.generate(ids, max_new_tokens=8, eos_token_id=-1)
    end = int(free[0, ids.shape[1] + 1])
    made = ours.generate(ids, max_new_tokens=8, eos_token_id=end)
    for row, text in enumerate(made[:, ids.shape[1] :].tolist()):
        wanted = free[row, ids.shape[1] :].tolist()
        stop = wanted.index(end) + 1 if end in wanted else len(wanted)
        assert text[:stop] == wanted[: min(stop, len(text))]
        assert set(text[stop:]) <= {1}
    assert ours.generate(ids[:1], max_new_tokens=8, eos_token_id=end).shape[1] <= ids.shape[1] + 2


def test_sampling_is_repeated_by_its_seed_and_only_by_it() -> None:
    ours, _ = pair(CAUSAL)
    ids = batch(rows=2)[0][:, :4]
    options = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.5, "eos_token_id": -1}
    assert torch.equal(ours.generate(ids, seed=1, **options), ours.generate(ids, seed=1, **options))
    assert not torch.equal(ours.generate(ids, seed=1, **options), ours.generate(ids, seed=2, **options))
    assert torch.equal(
        ours.generate(ids, seed=1, **{**options, "top_k": 1}), ours.generate(ids, max_new_tokens=12, eos_token_id=-1)
    )


def test_filters_keep_the_tokens_they_should() -> None:
    logits = torch.tensor([[0.5, 0.2, 0.15, 0.1, 0.05]]).log()
    assert torch.isfinite(filter_logits(logits, 2, 1.0)).tolist() == [[True, True, False, False, False]]
    assert torch.isfinite(filter_logits(logits, 0, 0.6)).tolist() == [[True, True, False, False, False]]
    assert torch.isfinite(filter_logits(logits, 0, 0.75)).tolist() == [[True, True, True, False, False]]
    assert torch.isfinite(filter_logits(logits, 0, 0.01)).tolist() == [[True, False, False, False, False]]
    shuffled = logits[:, [3, 0, 4, 2, 1]]
    assert torch.isfinite(filter_logits(shuffled, 0, 0.6)).tolist() == [[False, True, False, False, True]]


def test_sampled_frequencies_follow_the_distribution() -> None:
    from prenorm_model.torch.generation import draw

    logits = torch.tensor([[0.6, 0.3, 0.1]]).log().expand(20000, 3)
    drawn = draw(logits, 1.0, 0, 1.0, torch.Generator().manual_seed(0))
    assert drawn.bincount(minlength=3).div(20000).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.015)


def test_cross_attention_is_used_while_generating() -> None:
    ours, _ = pair(CAUSAL, add_cross_attention=True)
    ids = batch(rows=1)[0][:, :4]
    states = [torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(s)).double() for s in (0, 1)]
    made = [ours.generate(ids, max_new_tokens=10, eos_token_id=-1, encoder_hidden_states=s) for s in states]
    assert not torch.equal(*made)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 99}, "max_new_tokens is 99; with the text that passes the 22 positions"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    ours, _ = pair(CAUSAL)
    with pytest.raises(ValueError, match=message):
        ours.generate(batch(rows=1)[0], **options)


def test_right_padding_is_refused() -> None:
    ours, _ = pair(CAUSAL)
    with pytest.raises(ValueError, match="pad on the left"):
        ours.generate(batch()[0])
