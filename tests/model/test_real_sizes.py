"""What a size decides, on both sides of its limit, at sizes as users have them, against transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from helpers.model_pairs import NAMES, SMALL, apart, pair

ENCODER, CAUSAL, MASKED = NAMES[0], NAMES[1], NAMES[2]
WIDE = {"intermediate_size": 6000, "max_position_embeddings": 140, "num_hidden_layers": 1}


def ragged(rows: int, length: int, *, shortest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of rows from `shortest` to `length` tokens."""
    ids = torch.randint(2, SMALL["vocab_size"], (rows, length), generator=torch.Generator().manual_seed(0))
    lengths = torch.linspace(length, shortest, rows).long()
    ids[torch.arange(length)[None] >= lengths[:, None]] = 1
    return ids, ids.ne(1).long()


def ways(net: Any) -> tuple[list[int], list[Any]]:
    """How many tokens each call of a feed-forward block gets, and the shape of what goes into each layer."""
    tokens: list[int] = []
    shapes: list[Any] = []
    layer = net.base_model.encoder.layer[0]
    layer.intermediate.register_forward_pre_hook(lambda module, inputs: tokens.append(inputs[0].shape[:-1].numel()))
    layer.register_forward_pre_hook(lambda module, inputs: shapes.append(tuple(inputs[0].shape)))
    return tokens, shapes


# In float64 a token's widest values are 48 kB, so that 524 tokens are in one piece; from 256 pads on there are none.
SIZES = {
    "whole, with pads": (4, 120, 60, False, False),
    "whole, without pads": (6, 120, 5, True, False),
    "in pieces, with pads": (5, 130, 100, False, True),
    "in pieces, without pads": (12, 130, 60, True, True),
}


@pytest.mark.parametrize("name", [ENCODER, MASKED])
@pytest.mark.parametrize("case", SIZES)
def test_packing_and_pieces(case: str, name: str) -> None:
    rows, length, shortest, packed, pieces = SIZES[case]
    ours, theirs = pair(name, **WIDE)
    ids, mask = ragged(rows, length, shortest=shortest)
    real = mask.bool()
    tokens, shapes = ways(ours)
    with torch.no_grad():
        mine, other = ours(ids, mask), theirs(ids, attention_mask=mask)
    assert len(shapes[0]) == (2 if packed else 3)
    assert (len(tokens) > 1) is pieces
    assert sum(tokens) == (int(mask.sum()) if packed else mask.numel())
    assert apart(mine[0][real], other[0][real]) < 1e-10
    if name == ENCODER:
        assert apart(mine.pooler_output, other.pooler_output) < 1e-10
    # with gradients a feed-forward block is never cut, and gives the same
    tokens.clear()
    assert apart(ours(ids, mask)[0][real], other[0][real]) < 1e-10
    assert len(tokens) == 1


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("name", [MASKED, CAUSAL, "RobertaPreLayerNormForTokenClassification"])
def test_losses_over_few_labels_and_over_many(name: str, share: float) -> None:
    """Where most tokens have no label, their logits are left out of the softmax."""
    ours, theirs = pair(name)
    ids = torch.randint(2, 50, (4, 20), generator=torch.Generator().manual_seed(0))
    labelled = torch.rand(4, 20, generator=torch.Generator().manual_seed(1)) < share
    labels = torch.where(labelled, ids % 3, -100)
    # transformers rounds a causal LM's logits to float32 before the loss
    assert apart(ours(ids, labels=labels).loss, theirs(ids, labels=labels).loss) < (1e-5 if name == CAUSAL else 1e-10)


def test_pads_are_counted_out_only_where_a_row_would_not_fit() -> None:
    ours, theirs = pair(ENCODER)
    ids = torch.ones(2, 40, dtype=torch.long)
    ids[:, :22] = 5
    real = ids.ne(1)
    mine, other = (net(ids, attention_mask=real.long()).last_hidden_state[real] for net in (ours, theirs))
    assert apart(mine, other) < 1e-10
    with pytest.raises(ValueError, match="input_ids holds 23 tokens; the position table of 24 rows takes 22"):
        ours(torch.full((2, 23), 5))
