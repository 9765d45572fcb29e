"""The losses are PyTorch's, for every problem type, with ignored labels, and in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from jax import numpy as jnp

from helpers.model_pairs import SMALL
from prenorm_model import RobertaPreLayerNormConfig
from prenorm_model.flax import losses
from prenorm_model.torch import losses as torch_losses

GENERATOR = torch.Generator().manual_seed(0)
TWO, ONE = (torch.randn(4, count, generator=GENERATOR, dtype=torch.float64) for count in (2, 1))
THREE = torch.randn(4, 5, 3, generator=GENERATOR, dtype=torch.float64)
TOKENS = torch.randint(0, 3, (4, 5), generator=GENERATOR)
TOKENS[1, 2:] = -100


@pytest.mark.parametrize(
    ("logits", "labels", "problem_type"),
    [
        (TWO, torch.tensor([1, 0, -100, 1]), None),
        (TWO, torch.tensor([[1], [0], [1], [1]]), "single_label_classification"),
        (TWO, torch.tensor([[1.0, 0], [0, 0], [1, 1], [0.5, 1]]).double(), None),
        (TWO, torch.tensor([[1, 0], [0, 7], [1, 1], [3, 1]]), "regression"),
        (ONE, torch.tensor([1.5, 0, -2, 4]).double(), None),
        (ONE, torch.tensor([[1], [0], [-2], [4]]), None),
    ],
    ids=lambda item: str(list(item.shape)) if isinstance(item, torch.Tensor) else str(item),
)
def test_of_a_sequence(logits: torch.Tensor, labels: torch.Tensor, problem_type: str | None) -> None:
    config = RobertaPreLayerNormConfig(**SMALL, num_labels=logits.shape[1], problem_type=problem_type)
    wanted = torch_losses.sequence_loss(logits, labels, config).item()
    assert abs(float(losses.sequence_loss(jnp.asarray(logits.numpy()), labels.numpy(), config)) - wanted) < 1e-12


@pytest.mark.parametrize("items", [None, 7])
@pytest.mark.parametrize("name", ["token_loss", "next_token_loss"])
def test_of_tokens(name: str, items: int | None) -> None:
    wanted = getattr(torch_losses, name)(THREE, TOKENS, items).item()
    assert abs(float(getattr(losses, name)(jnp.asarray(THREE.numpy()), TOKENS.numpy(), items)) - wanted) < 1e-12
    half = getattr(losses, name)(jnp.asarray(THREE.numpy(), jnp.bfloat16), TOKENS.numpy(), items)
    assert half.dtype == jnp.float32
    assert abs(float(half) - wanted) < 0.02
    nothing = np.full((4, 5), -100)
    assert np.isnan(losses.token_loss(jnp.asarray(THREE.numpy()), nothing))


@pytest.mark.parametrize("ends", [([1, 4, -1, 9], [0, 2, 3, 5]), ([[1], [4], [0], [9]], [[0], [2], [3], [3]])])
def test_of_spans_and_choices(ends: Any) -> None:
    start, end = (torch.tensor(item) for item in ends)
    logits = THREE[..., 0], THREE[..., 1]
    wanted = torch_losses.span_loss(*logits, start, end).item()
    arrays = [jnp.asarray(item.numpy()) for item in logits]
    assert abs(float(losses.span_loss(*arrays, start.numpy(), end.numpy())) - wanted) < 1e-12
    chosen = torch.tensor([2, 0, 4, 1])
    wanted = torch_losses.choice_loss(logits[0], chosen).item()
    assert abs(float(losses.choice_loss(arrays[0], chosen.numpy())) - wanted) < 1e-12
