"""Text from the causal LM: greedy, or sampled with temperature, top-k and top-p."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig


class GenerationMixin:
    """Adds `generate` to a causal language model."""

    config: RobertaPreLayerNormConfig

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        max_new_tokens: int = 20,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        eos_token_id: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Continues a batch of texts, until each has its end or `max_new_tokens` are there.

        Args:
            input_ids: [batch, length]; shorter texts padded on the left.
            attention_mask: [batch, length]; default: everything but pads.
            max_new_tokens: how many tokens at most to add.
            do_sample: draw from the distribution, instead of taking the best token.
            temperature: divides the logits before drawing; below 1 sharper, above 1 flatter.
            top_k: draw from the k best tokens only; 0: from all.
            top_p: draw from the smallest set of tokens that has this probability only; 1: from all.
            seed: for draws that can be repeated; default: torch's generator as it is.
            eos_token_id: the token that ends a text; default: the config's.
            options: `encoder_hidden_states` and `encoder_attention_mask`.

        Returns:
            [batch, length + new tokens], the texts and what was added, padded on the right behind their ends.

        Raises:
            ValueError: naming the argument that cannot be, or the limit of the position table.
        """
        config = self.config
        _check_options(max_new_tokens, temperature, top_k, top_p)
        mask = _text_mask(config, input_ids, attention_mask, max_new_tokens)
        generator = None if seed is None else torch.Generator(input_ids.device).manual_seed(seed)
        end = config.eos_token_id if eos_token_id is None else eos_token_id
        full = bool(mask.all())
        positions = (mask.cumsum(dim=1) * mask) + config.pad_token_id
        ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        texts, new, cache = [input_ids], input_ids, None
        for _ in range(max_new_tokens):
            output = self(  # type: ignore[operator]
                new, None if full else mask, position_ids=positions, past_key_values=cache, use_cache=True,
                logits_to_keep=1, return_dict=True, **options,
            )  # fmt: skip
            cache = output.past_key_values
            logits = output.logits[:, -1]
            chosen = _draw(logits, temperature, top_k, top_p, generator) if do_sample else logits.argmax(dim=-1)
            chosen = torch.where(ended, config.pad_token_id, chosen)
            texts.append(chosen[:, None])
            ended = ended | (chosen == end)
            if bool(ended.all()):
                break
            new = texts[-1]
            positions = positions[:, -1:] + 1
            if not full:
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        return torch.cat(texts, dim=1)


def _text_mask(
    config: RobertaPreLayerNormConfig, input_ids: Tensor, attention_mask: Tensor | None, max_new_tokens: int
) -> Tensor:
    """Where the texts are, [batch, length]; or a ValueError, where they cannot be continued."""
    if not config.is_decoder:
        raise ValueError("generate needs a config with is_decoder=True")
    if input_ids.dim() != 2 or input_ids.shape[1] == 0:
        raise ValueError(f"input_ids has shape {list(input_ids.shape)}; it must be [batch, length], not empty")
    mask = input_ids.ne(config.pad_token_id) if attention_mask is None else attention_mask.bool()
    if mask.shape != input_ids.shape:
        raise ValueError(f"attention_mask has shape {list(mask.shape)}; it must be {list(input_ids.shape)}")
    if not bool(mask[:, -1].all()):
        raise ValueError("input_ids is padded on the right; pad on the left, so that every text goes on at its end")
    longest = config.max_position_embeddings - config.pad_token_id - 1
    if int(mask.sum(dim=1).max()) + max_new_tokens > longest:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}; with the text that passes the {longest} positions there are"
        )
    return mask


def _check_options(max_new_tokens: int, temperature: float, top_k: int, top_p: float) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be at least 1")
    if not temperature > 0:
        raise ValueError(
            f"temperature is {temperature}; it must be above 0 (for the best token alone: do_sample=False)"
        )
    if top_k < 0:
        raise ValueError(f"top_k is {top_k}; it must be 0 (all tokens) or more")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must be above 0 and at most 1")


def filter_logits(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Logits [batch, vocab] with all but the wanted tokens at minus infinity.

    Top-p (nucleus sampling, Holtzman et al. 2019, arXiv:1904.09751) keeps the token that passes the threshold.
    """
    if top_k and top_k < logits.shape[-1]:
        kth = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
        logits = logits.masked_fill((before >= top_p).gather(1, order.argsort()), -torch.inf)
    return logits


def _draw(logits: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator | None) -> Tensor:
    """One token a row, [batch]."""
    probabilities = filter_logits(logits.float() / temperature, top_k, top_p).softmax(dim=-1)
    return probabilities.multinomial(1, generator=generator).squeeze(1)
