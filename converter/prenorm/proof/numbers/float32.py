"""The built-in reference for a folder that computes in float32: exact itself, and with float32's rounding measured.

It runs a second time in float32, beside itself in float64. How far the two are apart at a place is what float32 costs there,
and what a folder may differ by; it is taken from the checkpoint's side, so that no folder can widen its own tolerance.

A place with few values can be lucky: rounding is as large there, in proportion to the values, as at the worst place before
it, and never below float32's own step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.proof.references.builtin import Arguments, Reference, Stage
from prenorm.reports.model import NoiseFloor

# Of 200 random models, chaotic ones among them, the worst place was 8.1 times as far from float64 in the folder's order of
# operations as in the reference's; the tolerance takes NOISE_FACTOR times this.
UNLUCKY = 4.0


class Float32Reference:
    """As `Reference`; `noise` has the largest difference between float32 and float64 by stage and part, pads left out, and
    `scale` the largest absolute value there.
    """

    def __init__(self, tensors: Mapping[str, SourceTensor], arguments: Arguments) -> None:
        self.exact = Reference(tensors, arguments)
        self._single = Reference(tensors, arguments, torch.float32)
        self._pad = arguments.pad
        self._features = torch.empty(0)
        self._real = torch.empty(0)
        self.noise: dict[tuple[str, str], float] = {}  # in the order in which they are computed
        self.scale: dict[tuple[str, str], float] = {}

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """The stages in float64; see `Reference.stages`."""
        self._real = input_ids != self._pad
        rounded = self._single.stages(input_ids)
        for (name, parts), (_, others) in zip(self.exact.stages(input_ids), rounded, strict=True):
            for part, value in parts.items():
                self._measure(name, part, value[self._real], others[part][self._real])
            self._features = others["out"]
            yield name, parts

    def logits(self, features: Tensor) -> Tensor:
        """The masked-LM head in float64."""
        return torch.cat(list(self.logit_pieces(features)), dim=-1)

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """The same, some of the vocabulary at a time; for the features of the batch that `stages` was last asked about."""
        rounded = self._single.logit_pieces(self._features[self._real])
        for piece, other in zip(self.exact.logit_pieces(features), rounded, strict=True):
            self._measure("logits", "out", piece, other)
            yield piece

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """A classification head in float64."""
        found, rounded = self.exact.classify(features, head), self._single.classify(self._features[:, 0], head)
        for part, value in found.items():
            self._measure(f"head.{head}", part, value, rounded[part])
        return found

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """See `Reference.extra_row_logits`."""
        return self.exact.extra_row_logits(logits, row, bias)

    def noise_at(self, stage: str, part: str) -> float:
        """What float32 costs there, over everything that was run."""
        worst = torch.finfo(torch.float32).eps
        for place, noise in self.noise.items():
            scale = self.scale[place]
            worst = max(worst, noise / scale if scale else 0.0)
            if place == (stage, part):
                return UNLUCKY * worst * scale
        return 0.0

    def floor(self) -> NoiseFloor:
        """Return what the report says of float32."""
        stages = {f"{stage}.{part}": found for (stage, part), found in self.noise.items() if part == "out"}
        return NoiseFloor(stages, self.noise.get(("logits", "out")))

    def _measure(self, stage: str, part: str, exact: Tensor, rounded: Tensor) -> None:
        for found, values in ((self.noise, exact - rounded), (self.scale, exact)):
            most = float(values.abs().nan_to_num(nan=0.0, posinf=0.0).max()) if values.numel() else 0.0
            found[stage, part] = max(found.get((stage, part), 0.0), most)
