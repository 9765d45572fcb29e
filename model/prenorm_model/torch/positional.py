"""Arguments by position, in the orders of both documentations of transformers.

The classes' signatures have the newer order (5.2). The older one (4.34) has `head_mask` in front of `inputs_embeds`, does
without `cache_position` and `logits_to_keep`, and goes on with the three options of outputs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_FEATURES = ("inputs_embeds", "encoder_hidden_states")  # of three dimensions or more; others have fewer
_TRUTHS = ("use_cache", "output_attentions", "output_hidden_states", "return_dict")
_NEWER = ("cache_position", "logits_to_keep")


def in_documented_orders(forward: Callable[P, R]) -> Callable[P, R]:
    """Let a forward take its arguments by position in the older order too.

    Args:
        forward: a method with the newer order; what is not documented by position is keyword-only.

    Returns:
        The method, with the same signature.
    """
    parameters = inspect.signature(forward).parameters.values()
    newer = [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD][1:]
    split = newer.index("inputs_embeds")
    older = older_order(newer)

    @functools.wraps(forward)
    def ordered(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) <= split + 1:  # the model itself is the first
            return forward(*args, **kwargs)
        values = args[1:]
        if _fits(newer, values, kwargs, split) or not _fits(older, values, kwargs, split):
            return forward(*args, **kwargs)
        call: Any = forward
        result: R = call(args[0], **dict(zip(older, values, strict=False)), **kwargs)
        return result

    # A code object for each method: torch's compiler counts the graphs of one, and gives up above a number of them.
    plain: Any = ordered
    plain.__code__ = plain.__code__.replace(co_name=forward.__qualname__)
    return ordered


def older_order(newer: Sequence[str]) -> list[str]:
    """Return the older order of a forward's arguments.

    Args:
        newer: the newer one.

    Returns:
        The names.
    """
    split = newer.index("inputs_embeds")
    return [*newer[:split], "head_mask", *(name for name in newer[split:] if name not in _NEWER), *_TRUTHS[1:]]


def _fits(names: Sequence[str], values: Sequence[object], keywords: Mapping[str, object], split: int) -> bool:
    """Return whether values by position, in the order of `names`, are what these say, and make one call.

    Both orders agree on the first `split` of them.
    """
    named = list(zip(names, values, strict=False))
    if len(values) > len(names) or any(name in keywords for name, _ in named):
        return False
    call = {**keywords, **dict(named)}
    if (call.get("input_ids") is None) == (call.get("inputs_embeds") is None):
        return False
    if call.get("encoder_attention_mask") is not None and call.get("encoder_hidden_states") is None:
        return False
    return all(_is_plausible(name, value) for name, value in named[split:])


def _is_plausible(name: str, value: object) -> bool:
    """Return whether a value can be the argument of that name."""
    if value is None:
        return True
    if name in _TRUTHS:
        return isinstance(value, bool)
    if name == "past_key_values":
        return not isinstance(value, Tensor | bool)
    if not isinstance(value, Tensor):
        return name == "logits_to_keep"
    if name in _FEATURES:
        return value.dim() >= 3
    return "attention_mask" in name or value.dim() <= 2
