"""What is replaced in torch while fairseq loads and computes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .refusal import Refusal


@contextlib.contextmanager
def strictly(note: Callable[[Any, dict[str, Any]], None]) -> Iterator[None]:
    """Let torch's strict loading raise its complaints as lists.

    Args:
        note: called with each module and the state that it loads.

    Yields:
        None, while the replacement lasts.

    Raises:
        Refusal: if the names are not those of the module.
    """
    original = torch.nn.Module.load_state_dict

    def load(module: Any, state: dict[str, Any], *positional: Any, **named: Any) -> Any:
        note(module, state)
        result = original(module, state, strict=False)
        problems = [f"missing: '{key}'" for key in result.missing_keys]
        problems += [f"unexpected: '{key}'" for key in result.unexpected_keys]
        if problems:
            raise Refusal("tensors", "its model has other tensors than the checkpoint", problems)
        return result

    torch.nn.Module.load_state_dict = load  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        torch.nn.Module.load_state_dict = original  # type: ignore[method-assign]


@contextlib.contextmanager
def casts_replaced(cast: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Replace `Tensor.float`, with which fairseq casts to float32.

    Args:
        cast: what takes its place.

    Yields:
        None, while the replacement lasts.
    """
    original = torch.Tensor.float
    torch.Tensor.float = lambda tensor, *positional, **named: cast(tensor)  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.Tensor.float = original  # type: ignore[method-assign]
