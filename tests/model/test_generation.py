"""Generation: greedy as transformers does it, sampling that can be repeated, left padding, ends."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from helpers.model_pairs import batch, pair
from prenorm_model.generation import _LEFT_TO_TRANSFORMERS, GenerationOptions
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


@functools.cache
def alike() -> tuple[Any, Any]:
    """A pair whose positions are all alike: transformers' `generate` counts them from 0, unlike its own forward."""
    ours, theirs = pair(CAUSAL, max_position_embeddings=40, vocab_size=90)
    with torch.no_grad():
        for net in (ours, theirs):
            table = net.base_model.embeddings.position_embeddings.weight
            table.copy_(table[2].expand_as(table))
    return ours, theirs


ENDS = list(range(2, 90, 4))
CALLS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "max_new_tokens": {"max_new_tokens": 7},
    "max_length": {"max_length": 9},
    "max_new_tokens before max_length": {"max_new_tokens": 3, "max_length": 9},
    "list of ends": {"eos_token_id": ENDS},
    "one end": {"eos_token_id": 7},
    "another pad": {"eos_token_id": [39, 7], "pad_token_id": 9},
    "a pad that ends texts": {"eos_token_id": [*ENDS, 1], "pad_token_id": 1},
    "min_new_tokens": {"eos_token_id": ENDS, "min_new_tokens": 4},
    "repetition_penalty": {"repetition_penalty": 1.8, "eos_token_id": -1},
    "penalty below one": {"repetition_penalty": 0.7, "eos_token_id": -1},
    "no cache": {"use_cache": False, "eos_token_id": -1},
    "sampled": {"do_sample": True, "eos_token_id": -1},
    "sampled warm": {"do_sample": True, "temperature": 3.0, "top_k": 0, "eos_token_id": -1},
    "sampled top_k": {"do_sample": True, "temperature": 3.0, "top_k": 3, "eos_token_id": -1},
    "sampled top_p": {"do_sample": True, "temperature": 3.0, "top_k": 0, "top_p": 0.8, "eos_token_id": ENDS},
    "several": {"do_sample": True, "num_return_sequences": 3, "temperature": 3.0, "eos_token_id": ENDS},
    "all at once": {
        "do_sample": True, "num_return_sequences": 2, "temperature": 2.0, "top_k": 20, "top_p": 0.9, "max_new_tokens": 11,
        "repetition_penalty": 1.3, "min_new_tokens": 2, "eos_token_id": ENDS,
    },
}  # fmt: skip


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("case", CALLS)
def test_the_tokens_are_those_of_transformers(case: str, left: bool) -> None:
    ours, theirs = alike()
    ids = batch(rows=3, left=True)[0][:, :6] if left else batch(rows=1)[0][:, :4]
    options = {"max_new_tokens": 12, **CALLS[case]} if "max_length" not in CALLS[case] and left else CALLS[case]
    made = []
    for net in (ours, theirs):
        torch.manual_seed(3)
        made.append(net.generate(ids, **options))
    assert torch.equal(*made)
    assert made[0].shape[1] > ids.shape[1]
    if left and (options.get("eos_token_id") is ENDS or "another" in case):  # texts end, and not all at once
        assert bool((made[0][:, ids.shape[1] :] == options.get("pad_token_id", 1)).any())


def test_a_generation_config_says_the_same_and_the_call_goes_before() -> None:
    ours, theirs = alike()
    ids = batch(rows=1)[0][:, :4]
    options = {"max_new_tokens": 5, "repetition_penalty": 1.8, "eos_token_id": [44, 45]}
    config = GenerationConfig(**options, pad_token_id=1)
    expected = theirs.generate(ids, config)
    assert torch.equal(ours.generate(ids, config), expected)
    assert torch.equal(ours.generate(ids, generation_config=options), expected)
    assert torch.equal(ours.generate(input_ids=ids, generation_config=config, max_new_tokens=None), expected)
    assert ours.generate(ids, config, max_new_tokens=3, eos_token_id=-1).shape[1] == 7
    assert torch.equal(ours.generate(ids, theirs.generation_config), theirs.generate(ids))
    with pytest.raises(ValueError, match="generate does not know num_beams=4"):
        ours.generate(ids, GenerationConfig(num_beams=4))
    with pytest.raises(ValueError, match="generation_config is a Tensor; it must be a GenerationConfig or a mapping"):
        ours.generate(ids, ids)


def test_without_a_prompt_a_text_begins() -> None:
    ours, theirs = alike()
    assert torch.equal(ours.generate(max_new_tokens=5), theirs.generate(max_new_tokens=5))
    assert ours.generate(bos_token_id=9, max_new_tokens=1)[0, 0] == 9


def test_with_and_without_a_cache_and_a_mask() -> None:
    """Positions count from the mask, whatever the pads' id is."""
    ours, _ = pair(CAUSAL)
    ids, mask = batch(left=True)
    options = {"max_new_tokens": 6, "eos_token_id": -1}
    made = ours.generate(ids, **options)
    assert torch.equal(ours.generate(ids, use_cache=False, **options), made)
    other = ids.masked_fill(mask == 0, 17)
    for use_cache in (True, False):
        new = ours.generate(other, attention_mask=mask, use_cache=use_cache, **options)
        assert torch.equal(new[:, ids.shape[1] :], made[:, ids.shape[1] :])


@pytest.mark.parametrize("use_cache", [True, False])
def test_token_types_go_on_as_the_last_one(use_cache: bool) -> None:
    """As a tokenizer hands them over."""
    ours, theirs = alike()
    ids = batch(rows=1)[0][:, :5]
    for types in (torch.tensor([[0, 0, 1, 1, 1]]), torch.zeros_like(ids)):
        encoded = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": types}
        options = {"max_new_tokens": 8, "eos_token_id": -1, "use_cache": use_cache}
        made = ours.generate(**encoded, **options)
        assert torch.equal(made, theirs.generate(**encoded, **options))
        again = torch.cat([types, types[:, -1:].expand(-1, 7)], dim=1)
        expected = ours(made[:, :-1], token_type_ids=again).logits[:, 4:].argmax(-1)
        assert torch.equal(made[:, 5:], expected)


class Listener:
    """Keeps what a streamer gets."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def put(self, value: torch.Tensor) -> None:
        self.heard.append(value.clone())

    def end(self) -> None:
        self.heard.append("end")


@pytest.mark.parametrize("rows", [1, 3])
def test_a_streamer_hears_what_transformers_tells_it(rows: int) -> None:
    heard = []
    ids = batch(rows=3)[0][:rows, :5]
    for net in alike():
        listener = Listener()
        net.generate(ids, max_new_tokens=4, eos_token_id=-1, streamer=listener)
        heard.append(listener.heard)
    assert heard[0].pop() == heard[1].pop() == "end"
    assert len(heard[0]) == len(heard[1]) == 5
    assert all(torch.equal(mine, other) for mine, other in zip(*heard, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 99}, "max_new_tokens is 99; with the text that passes the 22 positions"),
        ({"max_length": 99}, "max_length is 99; with the text that passes the 22 positions"),
        ({"max_length": 12}, "max_length is 12; input_ids has 12 tokens already"),
        ({"min_new_tokens": -1}, "min_new_tokens is -1"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"num_return_sequences": 2}, "num_return_sequences is 2; without do_sample=True"),
        ({"input_ids": torch.tensor([[0, 5]])}, "inputs and input_ids are the same argument"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    ours, _ = pair(CAUSAL)
    with pytest.raises(ValueError, match=message):
        ours.generate(batch(rows=1)[0], **options)


LEFT: dict[str, Any] = {
    "num_beams": 2, "assistant_model": object(), "constraints": [1], "logits_processor": [print], "min_length": 3,
    "stopping_criteria": [print], "no_repeat_ngram_size": 2, "return_dict_in_generate": True, "penalty_alpha": 0.6,
    "bad_words_ids": [[4]], "max_new_token": 3, "inputs_embeds": torch.zeros(1, 2, 24), "length_penalty": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_to_transformers_is_refused_by_its_name(name: str) -> None:
    ours, _ = pair(CAUSAL)
    with pytest.raises(ValueError, match=rf"generate does not know {name}\b.*model\.to_transformers\(\)\.generate"):
        ours.generate(batch(rows=1)[0][:, :4], **{name: LEFT[name]})


def test_what_asks_for_nothing_is_let_through() -> None:
    """Every default of transformers' own, stated."""
    ours, _ = pair(CAUSAL)
    ids = batch(rows=1)[0][:, :4]
    stated = {**GenerationConfig().to_dict(), **GenerationConfig._get_default_generation_params()}
    ours_too = {key: value for key, value in stated.items() if key not in ("max_length", "transformers_version")}
    unknown = {key: value for key, value in ours_too.items() if key not in known_options()}
    # an assistant's settings mean nothing without one
    stray = {key for key, value in unknown.items() if value not in (None, False)}
    assert all("assistant" in key or "lookbehind" in key for key in stray), stray
    assert torch.equal(
        ours.generate(ids, **{key: value for key, value in ours_too.items() if key in known_options()}),
        ours.generate(ids),
    )


def known_options() -> set[str]:
    return {item.name for item in dataclasses.fields(GenerationOptions)} | set(_LEFT_TO_TRANSFORMERS)


def test_right_padding_is_refused() -> None:
    ours, _ = pair(CAUSAL)
    with pytest.raises(ValueError, match="pad on the left"):
        ours.generate(batch()[0])
