"""What is computed on both sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.targets import Target
from prenorm.options import TaskKind
from prenorm.proof.probe import build_probe


@dataclass(frozen=True)
class Computation:
    """The probe, and what of the model decides how the outputs of both sides are compared.

    Attributes:
        batches: the probe's token ids, each [batch, length].
        pad: the pad's id.
        target: the architecture of the folder.
        kind: what the folder is for.
        head: the name of the classification head in the checkpoint, if the folder has one.
        extra_rows: rows of the vocabulary behind the dictionary's.
        dtype: the type that the folder stores.
        layers: the number of layers.
        sketched_rows: where the reference has sketches only, of how many rows of the vocabulary; None where it has values.
    """

    batches: tuple[Tensor, ...]
    pad: int
    target: Target
    kind: TaskKind
    head: str | None
    extra_rows: int
    dtype: str
    layers: int
    sketched_rows: int | None = None

    @classmethod
    def of(cls, plan: ConversionPlan, dtype: str | None = None) -> Computation:
        """Return what a plan's folder computes on the usual probe.

        Args:
            plan: what the folder must be.
            dtype: the folder's type where it is not the plan's.

        Returns:
            The computation.
        """
        d = plan.description
        return cls(
            tuple(build_probe(d.vocab_size, d.positions.rows, d.pad_id)),
            d.pad_id,
            plan.target,
            plan.task.kind,
            plan.task.head.name if plan.task.head else None,
            plan.extra_rows,
            dtype or d.dtype,
            d.layers,
        )

    @property
    def stage_count(self) -> int:
        """How often a comparison calls its `tick`."""
        return len(self.batches) * (self.layers + 3 + (self.head is not None))

    @property
    def token_count(self) -> int:
        """The tokens of the probe, pads included."""
        return sum(batch.numel() for batch in self.batches)
