"""What the proof asks of the two sides that it compares: a reference, and a runtime that computes a folder.

Both compute stage by stage. A stage is a named point of the computation: `embeddings`, `layers.N`, `layer_norm`, and for the
first map of a classification head `head`. Its values are its parts: `out` is the stage's output, and a layer has `q_proj`,
`k_proj`, `v_proj`, `out_proj`, `fc1` and `fc2` besides. A runtime that knows what goes into these six maps tells that, too,
as `q_proj.in` and so on; it may leave out `k_proj.in` and `v_proj.in` where they are the same values.

The reference is an iterator; it computes a stage when it is asked for. A runtime is told what to call instead, for two
reasons. The bundled model and transformers run their own forward, which cannot be left in the middle and entered again
without a second thread. And whoever calls has taken the values in before the next stage is computed, so that both sides
advance together and neither keeps more than one stage. A framework without hooks that computes stage by stage calls it after
each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prenorm.reports.details import NoiseFloor

Ids: TypeAlias = NDArray[np.int64]
# An array of any framework that numpy can take over.
Array: TypeAlias = Any
# Called with a stage's name and the values of its parts, each [batch, length, width]; of `head` [batch, width].
OnStage: TypeAlias = Callable[[str, Mapping[str, Array]], None]
# Called with `embeddings`, and with a layer's name when the stage before it was reported; returns what has to come out of
# them, the embeddings' `out` or the outputs of the layer's six maps, each [batch, length, width], in the type that is
# computed in.
Plant: TypeAlias = Callable[[str], Mapping[str, Array]]
# What a reference yields: the same with tensors in float64.
Stage: TypeAlias = tuple[str, dict[str, Tensor]]


class Runtime(Protocol):
    """What computes a folder.

    Attributes:
        name: what the report calls it, with its version where that matters.
    """

    name: str

    def run(self, input_ids: Ids, attention_mask: Ids, on_stage: OnStage) -> Array:
        """Compute one batch.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            on_stage: called with every stage as soon as it is computed, in the order of computation. The values are its
                own until it returns.

        Returns:
            Of the masked LM the logits [batch, length, vocab], of a classification head its outputs [batch, outputs], and
            without a head the features [batch, length, width]. For multiple choice the rows are one question's choices.
        """


@runtime_checkable
class PlantableRuntime(Runtime, Protocol):
    """A runtime in which values can be put in the place of what the embeddings and the linear maps of the layers give.

    It also tells what goes into these maps.
    """

    def run_planted(self, input_ids: Ids, attention_mask: Ids, plant: Plant, on_stage: OnStage) -> None:
        """Compute one batch up to the final norm, with planted values for the embeddings and all linear maps within layers.

        Args:
            input_ids: token ids [batch, length].
            attention_mask: 1 for tokens and 0 for pads, [batch, length].
            plant: called with `embeddings` and each layer's name, when the stage before it was reported.
            on_stage: called with every stage up to the final norm, as in `run`; pads may hold anything.
        """


class ReferenceModel(Protocol):
    """What computes as fairseq does: the built-in reference, fairseq itself, or outputs that were recorded."""

    @property
    def relative_tolerance(self) -> float:
        """What a difference may be in proportion to the range, besides what `noise` returns."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    @property
    def used(self) -> Set[str]:
        """The source tensors that entered the computation, by their names in the checkpoint."""

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """Compute the encoder on one batch.

        Args:
            input_ids: token ids [batch, length], int64.

        Returns:
            An iterator of the stages, each with its parts in float64.
        """

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """Compute the masked-LM head, some of the vocabulary at a time.

        Args:
            features: the final stage at tokens of the batch that `stages` was last asked about, [tokens, hidden].

        Returns:
            An iterator of the next columns of the logits, each [tokens, some], float64.
        """

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """Compute a classification head.

        Args:
            features: the final stage at the first tokens of the rows, [rows, hidden].
            head: its name in the checkpoint.

        Returns:
            `dense` [rows, inner], the first map before its activation, and `out` [rows, outputs], float64.
        """

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """Compute what a copy of a row of the vocabulary gives, with another bias.

        Args:
            logits: the logits' first columns, [tokens, more than row].
            row: which row is copied.
            bias: the copy's.

        Returns:
            Logits [tokens, 1].
        """

    def noise(self, stage: str, part: str) -> float:
        """Return how far the reference is from an exact computation, as it was measured up to now.

        Args:
            stage: a stage; `logits` for those of the masked LM, and `head.NAME` for a classification head.
            part: one of the stage's parts; of a head `dense` or `out`.

        Returns:
            The largest absolute difference; 0 where the reference computes exactly.
        """

    def floor(self) -> NoiseFloor | None:
        """Return for the report what float32 costs in this model.

        Returns:
            The largest difference by module and of the logits; None if it was not measured.
        """


@dataclass(frozen=True)
class Judged:
    """One quantity of a stage, as a reference computes it from a folder's own numbers.

    Attributes:
        part: the part of the stage whose line it belongs to.
        kind: what is compared: `input` of that part, `output`, or `product` with random signs.
        expected: what it must be, [tokens, values], float64.
        actual: what the folder has, of the same shape.
        magnitude: what rounding is in proportion to, of a shape that broadcasts to that.
    """

    part: str
    kind: str
    expected: Tensor
    actual: Tensor
    magnitude: Tensor


@runtime_checkable
class JudgingReference(ReferenceModel, Protocol):
    """A reference that can compute each stage of a folder from what the folder's stage took in."""

    def judge(
        self, stage: str, input_ids: Tensor, x: Tensor | None, actual: Mapping[str, Tensor], *, products: bool = True
    ) -> Iterator[Judged]:
        """Compute one stage from what the folder took in.

        Args:
            stage: `embeddings`, `layers.N` or `layer_norm`.
            input_ids: [batch, length], int64.
            x: the folder's output of the stage before, [batch, length, width], float64; None for the first.
            actual: the folder's values in this stage: `out`, and in a layer the six maps' outputs and, under `NAME.in`, what
                went into them, each [batch, length, width], float64.
            products: whether to judge the maps, too, and not only what lies between them.

        Returns:
            An iterator of what can be judged, in the order of computation.
        """


def as_tensor(array: Array) -> Tensor:
    """Return an array of any framework as a tensor, without a copy where that is possible.

    Args:
        array: a tensor, or anything that numpy makes an array of.

    Returns:
        A tensor of the same type.
    """
    return array if isinstance(array, Tensor) else torch.from_numpy(np.require(array, requirements=("C", "W")))
