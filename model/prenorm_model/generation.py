"""What generation answers to bad input: a ValueError that names the argument, the value and the limit.

Like the checks of a forward, these know no framework.
"""

from __future__ import annotations

from prenorm_model.checks import Shape
from prenorm_model.config import RobertaPreLayerNormConfig


def check_sampling(max_new_tokens: int, temperature: float, top_k: int, top_p: float) -> None:
    """Check the numbers that say how to draw tokens, and how many.

    Args:
        max_new_tokens: how many tokens at most to add.
        temperature: divides the logits before drawing.
        top_k: draw from the k best tokens only; 0: from all.
        top_p: draw from the smallest set of tokens that has this probability only; 1: from all.

    Raises:
        ValueError: naming the argument, its value and the limit.
    """
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


def check_prompt(config: RobertaPreLayerNormConfig, input_ids: Shape, attention_mask: Shape) -> None:
    """Check that the model is a decoder, and the texts to continue are [batch, length] with a mask of that shape.

    Args:
        config: the model's configuration.
        input_ids: the shape of the ids.
        attention_mask: the shape of the mask.

    Raises:
        ValueError: naming the argument, its shape and what it must be.
    """
    if not config.is_decoder:
        raise ValueError("generate needs a config with is_decoder=True")
    if len(input_ids) != 2 or input_ids[1] == 0:
        raise ValueError(f"input_ids has shape {list(input_ids)}; it must be [batch, length], not empty")
    if attention_mask != input_ids:
        raise ValueError(f"attention_mask has shape {list(attention_mask)}; it must be {list(input_ids)}")


def check_continuation(
    config: RobertaPreLayerNormConfig, *, is_right_padded: bool, longest: int, max_new_tokens: int
) -> None:
    """Check that every text can go on at its end, and for as many tokens.

    Args:
        config: the model's configuration.
        is_right_padded: whether some text ends before the last column.
        longest: the number of tokens of the longest text.
        max_new_tokens: how many tokens at most to add.

    Raises:
        ValueError: naming the argument, or the limit of the position table.
    """
    if is_right_padded:
        raise ValueError("input_ids is padded on the right; pad on the left, so that every text goes on at its end")
    if longest + max_new_tokens > config.longest_text:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}; with the text that passes the {config.longest_text} positions there are"
        )
