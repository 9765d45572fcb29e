"""What is computed on both sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.targets import Target
from prenorm.options import TaskKind
from prenorm.proof.probe import build_probe, build_short_probe, with_few_pads


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
        width: values of a token.
        inner: values of a token within the feed-forward block.
        attention_heads: the number of attention heads.
        chained: where stages are judged on their own inputs, the batches that both sides compute from end to end.
        planted: the batches for which values are planted there.
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
    width: int = 0
    inner: int = 0
    attention_heads: int = 0
    chained: tuple[Tensor, ...] = ()
    planted: tuple[Tensor, ...] = ()

    @classmethod
    def of(
        cls, plan: ConversionPlan, dtype: str | None = None, *, stagewise: bool = False, exhaustive: bool = False
    ) -> Computation:
        """Return what a plan's folder computes on the usual probe.

        Args:
            plan: what the folder must be.
            dtype: the folder's type where it is not the plan's.
            stagewise: whether stages are judged on their own inputs.
            exhaustive: whether both sides compute the whole probe from end to end all the same.

        Returns:
            The computation.
        """
        d = plan.description
        sizes = d.vocab_size, d.positions.rows, d.pad_id
        probe, short = build_probe(*sizes), build_short_probe(*sizes)
        planted = [probe[0], *(short if not exhaustive else [with_few_pads(probe[0], d.pad_id), *probe[1:]])]
        return cls(
            tuple(probe),
            d.pad_id,
            plan.target,
            plan.task.kind,
            plan.task.head.name if plan.task.head else None,
            plan.extra_rows,
            dtype or d.dtype,
            d.layers,
            None,
            d.hidden_size,
            d.ffn_size,
            d.attention_heads,
            tuple(probe if exhaustive else short) if stagewise else (),
            tuple(planted) if stagewise else (),
        )

    @property
    def whole(self) -> tuple[Tensor, ...]:
        """Where stages are judged on their own inputs, the batches that the folder computes alone: the full row."""
        return self.batches[:1]

    @property
    def stage_count(self) -> int:
        """How often a comparison calls its `tick`."""
        each = self.layers + 3 + (self.head is not None)
        if not self.chained:
            return len(self.batches) * each
        return (len(self.chained) + len(self.whole)) * each + len(self.planted) * (self.layers + 2)

    @property
    def operations_per_weight(self) -> float:
        """About how many floating-point operations each weight takes on both sides: two for every token, pads included."""
        if not self.chained:
            return 4.0 * sum(batch.numel() for batch in self.batches)
        return 4.0 * sum(batch.numel() for batch in self.chained) + 2.0 * sum(batch.numel() for batch in self.whole)
