"""Text from the causal LM: greedy, or sampled with temperature, top-k and top-p."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.generation import GenerationOptions, check_prompt
from prenorm_model.torch.module import ConfiguredModule


class Streamer(Protocol):
    """What takes in the tokens as they come, such as transformers' `TextStreamer`."""

    def put(self, value: Tensor) -> None:
        """Take in the prompt first, then the next tokens, on the CPU.

        Args:
            value: [batch, length] of the prompt, then [batch].
        """

    def end(self) -> None:
        """Take in that no more tokens come."""


class GenerationMixin(ConfiguredModule):
    """Adds `generate` to a causal language model.

    Args:
        config: the model's configuration.
    """

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: object = None,
        *,
        streamer: Streamer | None = None,
        seed: int | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        **options: object,
    ) -> Tensor:
        """Continue a batch of texts, until each has its end or as many tokens as are wanted.

        Args:
            inputs: [batch, length], int64, the texts; shorter ones padded on the left. Default: one text that begins.
            generation_config: transformers' `GenerationConfig`, or a mapping of options.
            streamer: takes in the prompt and then every step's tokens, as transformers' streamers do.
            seed: for draws that can be repeated; default: torch's generator as it is.
            input_ids: another name of `inputs`.
            attention_mask: [batch, length]; default: everything but pads, which is everything where the pad ends texts too.
            token_type_ids: [batch, length]; new tokens have the type of a row's last one. Default: zeros.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length].
            head_mask: [heads] or [layers, heads], multiplied with the attention weights.
            **options: those of `GenerationOptions`, in place of what `generation_config` says.

        Returns:
            [batch * num_return_sequences, length + new tokens], the texts and what was added, padded on the right behind
            their ends.

        Raises:
            ValueError: naming the argument that cannot be, that is left to transformers, or the limit of the position table.
        """
        chosen = GenerationOptions.of(generation_config, options)
        prompt = _prompt(self.config, chosen, inputs, input_ids, self.device)
        pad = chosen.pad(self.config)
        ends = torch.tensor(chosen.ends(self.config), dtype=torch.long, device=prompt.device)
        # A pad that ends texts too may be a prompt's own token.
        inferred = torch.ones_like(prompt, dtype=torch.bool) if pad in ends else prompt.ne(pad)
        mask = inferred if attention_mask is None else attention_mask.bool()
        ends_in_pads = mask.dim() == 2 and mask.shape[1] > 0 and not bool(mask[:, -1].all())
        check_prompt(self.config, tuple(prompt.shape), tuple(mask.shape), is_right_padded=ends_in_pads)
        steps = chosen.steps(self.config, columns=prompt.shape[1], longest=int(mask.sum(dim=1).max()))
        source = None if seed is None else torch.Generator(prompt.device).manual_seed(seed)
        rows, repeats = Chooser(chosen, ends, prompt.shape[1], source), chosen.num_return_sequences
        ids, mask = prompt.repeat_interleave(repeats, dim=0), mask.repeat_interleave(repeats, dim=0)
        by_row = {
            "token_type_ids": token_type_ids,
            "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask,
        }
        arguments = {
            key: None if value is None else value.repeat_interleave(repeats, dim=0) for key, value in by_row.items()
        }
        if streamer is not None:
            streamer.put(prompt.cpu())
        for chosen_tokens in self._continue(ids, mask, rows, steps, {**arguments, "head_mask": head_mask}):
            ids = torch.cat([ids, chosen_tokens[:, None]], dim=1)
            if streamer is not None:
                streamer.put(chosen_tokens.cpu())
        if streamer is not None:
            streamer.end()
        return ids

    def _continue(
        self, ids: Tensor, mask: Tensor, chooser: Chooser, steps: int, arguments: dict[str, Tensor | None]
    ) -> Iterator[Tensor]:
        """Yield the next token of every text, [batch], until all texts have their end; pads behind it."""
        options = chooser.options
        pad = options.pad(self.config)
        is_full = bool(mask.all())
        ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        new, cache, types = ids, None, arguments.pop("token_type_ids")
        for _ in range(steps):
            # Counted as the forward itself counts them, but from the mask: pads may have any id.
            positions = (mask.cumsum(dim=1) * mask + self.config.pad_token_id)[:, -new.shape[1] :]
            output: Any = self(
                new, None if is_full else mask, None if types is None else types[:, -new.shape[1] :], positions,
                past_key_values=cache, use_cache=options.use_cache, logits_to_keep=1, return_dict=True, **arguments,
            )  # fmt: skip
            cache = output.past_key_values
            chosen = torch.where(ended, pad, chooser.choose(output.logits[:, -1], ids))
            yield chosen
            ended = ended | torch.isin(chosen, chooser.ends)
            if bool(ended.all()):
                return
            ids = torch.cat([ids, chosen[:, None]], dim=1)
            new = chosen[:, None] if options.use_cache else ids
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            types = None if types is None else torch.cat([types, types[:, -1:]], dim=1)


def _prompt(
    config: RobertaPreLayerNormConfig,
    options: GenerationOptions,
    inputs: Tensor | None,
    input_ids: Tensor | None,
    device: torch.device,
) -> Tensor:
    """Return the texts to continue: one that only begins, where none is given."""
    if inputs is not None and input_ids is not None:
        raise ValueError("inputs and input_ids are the same argument; both are given")
    prompt = inputs if input_ids is None else input_ids
    if prompt is not None:
        return prompt
    begin = config.bos_token_id if options.bos_token_id is None else options.bos_token_id
    return torch.tensor([[begin]], device=device)


@dataclass(frozen=True)
class Chooser:
    """Takes the best tokens, or draws them.

    Attributes:
        options: says how.
        ends: the tokens that end a text, [number of them].
        prompt: how many tokens a row began with.
        generator: the source of randomness; None: torch's own.
    """

    options: GenerationOptions
    ends: Tensor
    prompt: int
    generator: torch.Generator | None = None

    def choose(self, logits: Tensor, ids: Tensor) -> Tensor:
        """Choose one token for each row.

        Args:
            logits: [batch, vocab].
            ids: [batch, length], the texts so far.

        Returns:
            [batch], int64.
        """
        scores = logits.float()
        if self.options.repetition_penalty != 1:
            scores = penalize(scores, ids, self.options.repetition_penalty)
        if ids.shape[1] - self.prompt < self.options.min_new_tokens:
            known = self.ends[(self.ends >= 0) & (self.ends < scores.shape[1])]
            scores = scores.index_fill(1, known, -torch.inf)
        if not self.options.do_sample:
            return scores.argmax(dim=-1)
        return draw(scores, self.options.temperature, self.options.top_k, self.options.top_p, self.generator)


def penalize(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that are there already less probable (Keskar et al. 2019, arXiv:1909.05858, section 4.1).

    Args:
        logits: [batch, vocab].
        ids: [batch, length], the texts so far, pads included.
        penalty: divides positive logits of their tokens, and multiplies negative ones.

    Returns:
        [batch, vocab].
    """
    there = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(there < 0, there * penalty, there / penalty))


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
    probabilities = filter_logits(logits / temperature, top_k, top_p).softmax(dim=-1)
    return probabilities.multinomial(1, generator=generator).squeeze(1)
