"""What generation is asked for: the options by transformers' names, and what is left to transformers.

Like the checks of a forward, these know no framework.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from prenorm_model.checks import Shape
from prenorm_model.config import RobertaPreLayerNormConfig

_DEFAULT_NEW_TOKENS = 20
# What transformers can do and this package leaves to it, with the value that asks for nothing; None and False ask for nothing
# either.
_LEFT_TO_TRANSFORMERS: dict[str, object] = {
    "assistant_model": None, "bad_words_ids": None, "begin_suppress_tokens": None, "cache_implementation": None,
    "constraints": None, "custom_generate": None, "diversity_penalty": 0.0, "early_stopping": False,
    "encoder_no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None, "force_words_ids": None, "forced_bos_token_id": None,
    "forced_eos_token_id": None, "guidance_scale": 1.0, "length_penalty": 1.0, "logits_processor": None, "max_time": None,
    "min_length": 0, "min_p": 0.0, "negative_prompt_attention_mask": None, "negative_prompt_ids": None,
    "no_repeat_ngram_size": 0, "num_beam_groups": 1, "num_beams": 1, "output_attentions": False,
    "output_hidden_states": False, "output_logits": False, "output_scores": False, "penalty_alpha": None,
    "prefix_allowed_tokens_fn": None, "remove_invalid_values": False, "renormalize_logits": False,
    "return_dict_in_generate": False, "sequence_bias": None, "stop_strings": None, "stopping_criteria": None,
    "suppress_tokens": None, "synced_gpus": None, "typical_p": 1.0, "watermarking_config": None,
}  # fmt: skip
# What a stored generation config says of itself.
_NOTES = ("_from_model_config", "transformers_version")


@dataclass(frozen=True)
class GenerationOptions:
    """How a text is continued. Names and defaults are those of transformers' `GenerationConfig`.

    Attributes:
        max_new_tokens: how many tokens at most to add; None: as many as `max_length` leaves, else 20 where they have room.
        max_length: how many tokens a row has at most, the prompt and its pads among them; `max_new_tokens` goes before it.
        min_new_tokens: how many tokens to add before a text may end.
        do_sample: draw from the distribution, instead of taking the best token.
        temperature: divides the logits before drawing; below 1 sharper, above 1 flatter.
        top_k: draw from the k best tokens only; 0: from all.
        top_p: draw from the smallest set of tokens that has this probability only; 1: from all.
        repetition_penalty: makes tokens that are there already less probable above 1, and more probable below.
        num_return_sequences: how many continuations of each text to draw.
        use_cache: keep keys and values, instead of computing the whole text again for every token.
        bos_token_id: the token that a text without a prompt begins with; None: the config's.
        eos_token_id: the token, or the tokens, that end a text; None: the config's.
        pad_token_id: the token before a prompt and behind the end of a text; None: the config's.

    Raises:
        ValueError: naming the option, its value and the limit.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    num_return_sequences: int = 1
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | Sequence[int] | None = None
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("max_new_tokens", "max_length", "num_return_sequences"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        for name in ("temperature", "repetition_penalty"):
            if not getattr(self, name) > 0:
                advice = " (for the best token alone: do_sample=False)" if name == "temperature" else ""
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0{advice}")
        for name in ("top_k", "min_new_tokens"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.num_return_sequences > 1 and not self.do_sample:
            raise ValueError(
                f"num_return_sequences is {self.num_return_sequences}; without do_sample=True they would all be the same"
            )

    @classmethod
    def of(cls, generation_config: object, options: Mapping[str, object]) -> GenerationOptions:
        """Return what a call asks for.

        Args:
            generation_config: transformers' `GenerationConfig`, or a mapping of options; None: nothing.
            options: the call's own options, which go before; None is no word on an option.

        Returns:
            The options.

        Raises:
            ValueError: naming an option that is left to transformers, or that cannot be.
        """
        stated = _stated(generation_config)
        asked = {**stated, **{key: value for key, value in options.items() if value is not None or key not in stated}}
        known = {item.name for item in fields(cls)}
        for name, value in asked.items():
            if name not in known and not _asks_for_nothing(name, value):
                option = f"{name}={value!r}" if isinstance(value, int | float | str) else name
                raise ValueError(
                    f"generate does not know {option}; what transformers can do beyond it, "
                    "model.to_transformers().generate(...) does with the same weights"
                )
        chosen: dict[str, Any] = {key: value for key, value in asked.items() if key in known and value is not None}
        return cls(**chosen)

    def pad(self, config: RobertaPreLayerNormConfig) -> int:
        """Return the token that stands before a prompt and behind the end of a text.

        Args:
            config: says which, where the options do not.

        Returns:
            Its id.
        """
        return config.pad_token_id if self.pad_token_id is None else self.pad_token_id

    def ends(self, config: RobertaPreLayerNormConfig) -> tuple[int, ...]:
        """Return the tokens that end a text.

        Args:
            config: says which, where the options do not.

        Returns:
            Their ids.
        """
        stated: int | Sequence[int] | None = config.eos_token_id if self.eos_token_id is None else self.eos_token_id
        if stated is None:
            return ()
        return (stated,) if isinstance(stated, int) else tuple(int(token) for token in stated)

    def steps(self, config: RobertaPreLayerNormConfig, *, columns: int, longest: int) -> int:
        """Return how many tokens to add at most.

        Args:
            config: says how many the position table takes.
            columns: the number of tokens of a row, pads included.
            longest: the number of tokens of the longest text.

        Returns:
            The number of tokens.

        Raises:
            ValueError: naming the option that leaves no token, or too many for the position table.
        """
        room = config.longest_text - longest
        if self.max_new_tokens is None and self.max_length is None:
            if room < 1:
                raise ValueError(f"input_ids holds {longest} tokens; the position table takes no more")
            return min(_DEFAULT_NEW_TOKENS, room)
        if self.max_new_tokens is not None:
            name, value, steps = "max_new_tokens", self.max_new_tokens, self.max_new_tokens
        else:
            assert self.max_length is not None
            name, value, steps = "max_length", self.max_length, self.max_length - columns
        if steps < 1:
            raise ValueError(f"max_length is {value}; input_ids has {columns} tokens already")
        if steps > room:
            raise ValueError(
                f"{name} is {value}; with the text that passes the {config.longest_text} positions there are"
            )
        return steps


def _asks_for_nothing(name: str, value: object) -> bool:
    """Return whether an option that is left to transformers has a value that leaves everything as it is."""
    if name not in _LEFT_TO_TRANSFORMERS:
        return False
    is_neutral = isinstance(value, int | float) and value == _LEFT_TO_TRANSFORMERS[name]
    return value is None or value is False or is_neutral


def _stated(generation_config: object) -> Mapping[str, object]:
    """Return the options that a generation config states, but for what it says of itself."""
    if generation_config is None:
        return {}
    if hasattr(generation_config, "to_diff_dict"):
        generation_config = generation_config.to_diff_dict()
    if not isinstance(generation_config, Mapping):
        raise ValueError(
            f"generation_config is a {type(generation_config).__name__}; it must be a GenerationConfig or a mapping"
        )
    return {key: value for key, value in generation_config.items() if key not in _NOTES}


def check_prompt(
    config: RobertaPreLayerNormConfig, input_ids: Shape, attention_mask: Shape, *, is_right_padded: bool
) -> None:
    """Check that the model is a decoder, and the texts can go on at their ends.

    Args:
        config: the model's configuration.
        input_ids: the shape of the ids, [batch, length].
        attention_mask: the shape of the mask.
        is_right_padded: whether some text ends before the last column.

    Raises:
        ValueError: naming the argument and what it must be.
    """
    if not config.is_decoder:
        raise ValueError("generate needs a config with is_decoder=True")
    if len(input_ids) != 2 or input_ids[1] == 0:
        raise ValueError(f"input_ids has shape {list(input_ids)}; it must be [batch, length], not empty")
    if attention_mask != input_ids:
        raise ValueError(f"attention_mask has shape {list(attention_mask)}; it must be {list(input_ids)}")
    if is_right_padded:
        raise ValueError("input_ids is padded on the right; pad on the left, so that every text goes on at its end")
