"""Text from the causal LM: greedy, or sampled with temperature, top-k and top-p."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.generation import check_continuation, check_prompt, check_sampling


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
        eos_token_id: int | list[int] | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Tensor:
        """Continue a batch of texts, until each has its end or `max_new_tokens` are there.

        Args:
            input_ids: [batch, length], int64; shorter texts padded on the left.
            attention_mask: [batch, length]; default: everything but pads.
            max_new_tokens: how many tokens at most to add.
            do_sample: draw from the distribution, instead of taking the best token.
            temperature: divides the logits before drawing; below 1 sharper, above 1 flatter.
            top_k: draw from the k best tokens only; 0: from all.
            top_p: draw from the smallest set of tokens that has this probability only; 1: from all.
            seed: for draws that can be repeated; default: torch's generator as it is.
            eos_token_id: the token that ends a text, or several of which any does; default: the config's.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length].
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.

        Returns:
            [batch, length + new tokens], the texts and what was added, padded on the right behind their ends.

        Raises:
            ValueError: naming the argument that cannot be, or the limit of the position table.
        """
        check_sampling(max_new_tokens, temperature, top_k, top_p)
        mask = _prompt_mask(self.config, input_ids, attention_mask, max_new_tokens)
        choose: Callable[[Tensor], Tensor] = partial(torch.argmax, dim=-1)
        if do_sample:
            generator = None if seed is None else torch.Generator(input_ids.device).manual_seed(seed)
            choose = partial(draw, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        tokens = self._continue(
            input_ids, mask, choose, self.config.eos_token_id if eos_token_id is None else eos_token_id,
            encoder_hidden_states=encoder_hidden_states, encoder_attention_mask=encoder_attention_mask,
            head_mask=head_mask,
        )  # fmt: skip
        return torch.cat([input_ids, *islice(tokens, max_new_tokens)], dim=1)

    def _continue(
        self,
        input_ids: Tensor,
        mask: Tensor,
        choose: Callable[[Tensor], Tensor],
        end: int | list[int] | None,
        **options: Tensor | None,
    ) -> Iterator[Tensor]:
        """Yield the next token of every text, [batch, 1], until all texts have their end; pads behind it."""
        pad = self.config.pad_token_id
        ends = torch.tensor([] if end is None else end, dtype=input_ids.dtype, device=input_ids.device)
        is_full = bool(mask.all())
        positions = (mask.cumsum(dim=1) * mask) + pad
        ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        new, cache = input_ids, None
        while not bool(ended.all()):
            output = self(  # type: ignore[operator]
                new, None if is_full else mask, position_ids=positions, past_key_values=cache, use_cache=True,
                logits_to_keep=1, return_dict=True, **options,
            )  # fmt: skip
            cache = output.past_key_values
            chosen = torch.where(ended, pad, choose(output.logits[:, -1]))
            ended = ended | torch.isin(chosen, ends)
            new = chosen[:, None]
            yield new
            positions = positions[:, -1:] + 1
            if not is_full:
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)


def _prompt_mask(
    config: RobertaPreLayerNormConfig, input_ids: Tensor, attention_mask: Tensor | None, max_new_tokens: int
) -> Tensor:
    """Return where the texts are, bool [batch, length]; raise ValueError where they cannot be continued."""
    mask = input_ids.ne(config.pad_token_id) if attention_mask is None else attention_mask.bool()
    check_prompt(config, tuple(input_ids.shape), tuple(mask.shape))
    check_continuation(
        config,
        is_right_padded=not bool(mask[:, -1].all()),
        longest=int(mask.sum(dim=1).max()),
        max_new_tokens=max_new_tokens,
    )
    return mask


def filter_logits(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Exclude all but the best tokens from being drawn.

    Top-p (nucleus sampling, Holtzman et al. 2019, arXiv:1904.09751) keeps the token that passes the threshold.

    Args:
        logits: [batch, vocab].
        top_k: keep the k best tokens; 0: all.
        top_p: keep the smallest set of tokens that has this probability; 1: all.

    Returns:
        [batch, vocab], minus infinity at the excluded tokens.
    """
    if top_k and top_k < logits.shape[-1]:
        kth = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
        logits = logits.masked_fill((before >= top_p).gather(1, order.argsort()), -torch.inf)
    return logits


def draw(logits: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator | None) -> Tensor:
    """Draw one token for each row.

    Args:
        logits: [batch, vocab].
        temperature: divides the logits; below 1 sharper, above 1 flatter.
        top_k: draw from the k best tokens only; 0: from all.
        top_p: draw from the smallest set of tokens that has this probability only; 1: from all.
        generator: the source of randomness; None: torch's own.

    Returns:
        [batch], int64.
    """
    probabilities = filter_logits(logits.float() / temperature, top_k, top_p).softmax(dim=-1)
    return probabilities.multinomial(1, generator=generator).squeeze(1)
