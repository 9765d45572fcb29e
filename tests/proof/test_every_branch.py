"""What the size of a batch decides in the bundled model, the probe reaches both ways: a fault in one of them only is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from helpers.paths import FIXTURES
from prenorm.commands.verify import verify
from prenorm.proof.probe import build_probe
from prenorm_model.torch import attention, layer, modeling, packing

pytestmark = pytest.mark.slow

KINDS = ("dinkytrain-mlm", "dinkytrain-no-embedding-norm")  # roberta-prelayernorm and xlm-roberta-xl


def feed_forward_off(patch: pytest.MonkeyPatch, *, whole: bool) -> None:
    """Only where the feed-forward block is computed in one piece, or only where it is not."""
    sound = layer.Layer._feed_forward

    def feed_forward(self: Any, x: Tensor, wide_bytes: int) -> Tensor:
        values = sound(self, x, wide_bytes)
        is_whole = x.shape[:-1].numel() * self.intermediate.dense.out_features * x.element_size() <= wide_bytes
        return values * (1 + 1e-6) if is_whole is whole else values

    patch.setattr(layer.Layer, "_feed_forward", feed_forward)


def in_pieces(patch: pytest.MonkeyPatch) -> None:
    feed_forward_off(patch, whole=False)


def in_one_piece(patch: pytest.MonkeyPatch) -> None:
    feed_forward_off(patch, whole=True)


def without_pads(patch: pytest.MonkeyPatch) -> None:
    sound = attention.MultiHeadAttention._one_sequence
    patch.setattr(
        attention.MultiHeadAttention, "_one_sequence", lambda self, q, k, v: sound(self, q, k, v) * (1 + 1e-6)
    )


def another_row_without_pads(patch: pytest.MonkeyPatch) -> None:
    sound = packing.Packing.unpack
    patch.setattr(packing.Packing, "unpack", lambda self, x: sound(self, x.roll(1, 0)))


def with_pads(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(modeling, "encoder_mask", lambda mask, **options: None)


FAULTS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    in_pieces, in_one_piece, without_pads, another_row_without_pads, with_pads,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_model_passes(kind: str, converted: Callable[[str], Path]) -> None:
    assert verify(FIXTURES / kind / "checkpoint.pt", converted(kind)).passed


@pytest.mark.parametrize("exhaustive", [False, True], ids=["stagewise", "exhaustive"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_one_way_only_fails(
    fault: Callable[[pytest.MonkeyPatch], None], exhaustive: bool, converted: Callable[[str], Path]
) -> None:
    folder = converted(KINDS[0])
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        report = verify(FIXTURES / KINDS[0] / "checkpoint.pt", folder, exhaustive=exhaustive)
    assert not report.passed
    failed = {check.name for check in report.checks if not check.passed}
    assert failed & ({"logits"} if exhaustive else {"logits", "modules"})  # along the chain it reaches the logits, too


@pytest.mark.parametrize("positions", [22, 66, 130, 514, 8194])
def test_both_ways_are_reached_whatever_the_number_of_positions(positions: int) -> None:
    """Of a roberta-large too, whose row of 512 tokens would go through its feed-forward blocks in one piece."""
    from prenorm.proof.runtimes.observed import MIN_PADS

    pads = [int((batch == 1).sum()) for batch in build_probe(50265, positions)]
    assert pads[0] == 0
    assert 0 < pads[2] < MIN_PADS <= pads[1]
    assert all(
        pads[number] / batch.numel() > 0.1 for number, batch in enumerate(build_probe(50265, positions)) if number
    )
