"""The built-in reference for a folder that computes in float32: exact itself, and with float32's rounding measured.

It runs a second time in float32, in step with itself in float64. How far the two are apart at a place is what float32 costs
there, and what a folder may differ by; it is taken from the checkpoint's side, so that no folder can widen its own tolerance.

A place with few values can be lucky: rounding is as large there, in proportion to the values, as at the worst place before
it, and never below float32's own step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.proof.numbers.differences import RELATIVE_TOLERANCE
from prenorm.proof.protocols import Stage
from prenorm.proof.references.builtin import BuiltinReference, ReferenceSettings
from prenorm.proof.references.measured import MeasuredRounding
from prenorm.reports.details import NoiseFloor

# Of 200 random models, chaotic ones among them, the worst place was 8.1 times as far from float64 in the folder's order of
# operations as in the reference's; the tolerance takes NOISE_FACTOR times this.
UNLUCKY = 4.0


class Float32Reference:
    """The built-in reference in float64, which measures at every stage how far float32 is from it.

    Attributes:
        rounding: the differences between float32 and float64; pads are left out.
        relative_tolerance: for the folder's side, whose rounding is not that of the reference.
    """

    name = BuiltinReference.name
    relative_tolerance = RELATIVE_TOLERANCE

    def __init__(self, tensors: Mapping[str, SourceTensor], settings: ReferenceSettings) -> None:
        """Take the source tensors as they are.

        Args:
            tensors: the checkpoint's `model`, under the checkpoint's names.
            settings: what the tensors cannot tell.
        """
        self._exact = BuiltinReference(tensors, settings)
        self._single = BuiltinReference(tensors, settings, torch.float32)
        self._pad = settings.pad
        self._features = torch.empty(0)
        self._real = torch.empty(0)
        self.rounding = MeasuredRounding()

    @property
    def used(self) -> set[str]:
        """The source tensors that entered the computation."""
        return self._exact.used

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """Compute the encoder on one batch, in both types.

        Args:
            input_ids: token ids [batch, length], int64.

        Yields:
            The stages in float64; see `BuiltinReference.stages`.
        """
        self._real = input_ids != self._pad
        rounded = self._single.stages(input_ids)
        for (name, parts), (_, others) in zip(self._exact.stages(input_ids), rounded, strict=True):
            for part, value in parts.items():
                exact = value[self._real]
                self.rounding.add(name, part, exact - others[part][self._real], exact)
            self._features = others["out"]
            yield name, parts

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """Compute the masked-LM head, in both types, some of the vocabulary at a time.

        Args:
            features: of the batch that `stages` was last asked about, [tokens, hidden].

        Yields:
            The next columns of the logits, [tokens, some], float64.
        """
        rounded = self._single.logit_pieces(self._features[self._real])
        for piece, other in zip(self._exact.logit_pieces(features), rounded, strict=True):
            self.rounding.add("logits", "out", piece - other, piece)
            yield piece

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """Compute a classification head, in both types.

        Args:
            features: the first tokens' of the batch that `stages` was last asked about, [rows, hidden].
            head: its name in the checkpoint.

        Returns:
            `dense` and `out` in float64; see `BuiltinReference.classify`.
        """
        exact, rounded = self._exact.classify(features, head), self._single.classify(self._features[:, 0], head)
        for part, value in exact.items():
            self.rounding.add(f"head.{head}", part, value - rounded[part], value)
        return exact

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """Compute what a copy of a row of the vocabulary gives, with another bias.

        Args:
            logits: the logits' first columns, [tokens, more than row].
            row: which row is copied.
            bias: the copy's.

        Returns:
            [tokens, 1], float64.
        """
        return self._exact.extra_row_logits(logits, row, bias)

    def noise(self, stage: str, part: str) -> float:
        """Return what float32 costs at a place, over everything that was run.

        Args:
            stage: a stage, `logits` or `head.NAME`.
            part: one of its parts.

        Returns:
            The largest absolute difference that a folder may show there, before the tolerance's own factor.
        """
        return self.rounding.at(stage, part, least=torch.finfo(torch.float32).eps, factor=UNLUCKY)

    def floor(self) -> NoiseFloor:
        """Return for the report what float32 costs in this model.

        Returns:
            The largest difference by module and of the logits.
        """
        stages = {
            f"{stage}.{part}": rounding for (stage, part), rounding in self.rounding.apart.items() if part == "out"
        }
        return NoiseFloor(stages, self.rounding.apart.get(("logits", "out")))
