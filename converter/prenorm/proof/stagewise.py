"""A folder judged stage by stage, each on the folder's own numbers; and along the chain on short rows.

1. Short rows go through all of both sides, as in `prenorm.proof.comparison`: the chain, end to end.
2. A row of full length goes through the folder's model alone. Every stage is held against what the reference makes of the
   stage's own input, linear maps by random signs, and the logits against those of the folder's last features.
3. Designed values are planted in every layer in the place of what its linear maps give (`designs.py`): everything else in a
   layer meets its hardest inputs, at full length and in short rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from prenorm.mapping.targets.target import HEAD_STAGE
from prenorm.options import TaskKind
from prenorm.proof.comparison import Comparison, FirstDivergence, real_values
from prenorm.proof.computation import Computation
from prenorm.proof.designs import Designs
from prenorm.proof.numbers import rounding
from prenorm.proof.protocols import Array, JudgingReference, PlantableRuntime, ReferenceModel, Runtime, as_tensor
from prenorm.proof.runtimes import BUNDLED


def comparison_of(
    computation: Computation, reference: ReferenceModel, runtime: Runtime, tick: Callable[[int], None]
) -> Comparison:
    """Return the comparison that both sides allow.

    Args:
        computation: what both compute.
        reference: what computes as fairseq does.
        runtime: what computes the folder.
        tick: called with 1 for every stage that was compared.

    Returns:
        One that judges stage by stage; one along the chain alone where a side cannot do that.
    """
    if computation.chained and isinstance(reference, JudgingReference) and isinstance(runtime, PlantableRuntime):
        return StagewiseComparison(computation, reference, runtime, tick)
    return Comparison(computation, reference, runtime, tick)


@dataclass
class StagewiseComparison(Comparison):
    """A comparison whose chain runs on short rows only; at full length every stage is judged on its own input.

    Attributes:
        reference: what computes as fairseq does, on a folder's own numbers, too.
        runtime: what computes the folder, with planted values, too.
    """

    reference: JudgingReference
    runtime: PlantableRuntime
    _shares: dict[str, Tensor] = field(default_factory=dict)
    _x: Tensor | None = None
    _stages: int = 0

    def run(self) -> StagewiseComparison:
        """Compare the whole probe.

        Returns:
            This comparison.

        Raises:
            ValueError: if the model's stages are not the reference's.
        """
        with torch.inference_mode():
            for batch in self.computation.chained:
                self.add(batch)
            for batch in self.computation.whole:
                self.add_whole(batch)
            for batch in self.computation.planted:
                self.add_planted(batch)
        self.finish()
        return self

    def add_whole(self, batch: Tensor) -> None:
        """Run the folder's model alone, and judge every stage on its own input.

        Args:
            batch: token ids [batch, length], without pads.

        Raises:
            ValueError: if the model's stages are not the reference's.
        """
        self._begin()
        head: dict[str, Tensor] = {}

        def on_stage(name: str, actual: Mapping[str, Array]) -> None:
            if name == HEAD_STAGE and self.computation.head is not None:
                head.update(self.reference.classify(self._features[:, 0], self.computation.head))
                self.compare(HEAD_STAGE, "out", head["dense"], as_tensor(actual["out"]), batch)
                self.tick(1)
                return
            shares = self._judge(name, batch, actual, products=True)
            self._shares[self.computation.target.modules[BUNDLED].path(name)] = shares

        real = batch != self.computation.pad
        actual = as_tensor(self.runtime.run(batch.numpy(), real.long().numpy(), on_stage))
        self._end()
        if any(batch is other for other in self.computation.chained):
            pass  # whose logits are compared along the chain
        elif self.computation.kind is TaskKind.MASKED_LM:
            self.compare_vocabulary(real_values(self._features, real), real_values(actual, real), whole=True)
        elif head:
            self.add_logits(head["out"], actual.double())
        self.tick(1)

    def add_planted(self, batch: Tensor) -> None:
        """Plant designed values in every layer, and judge all that is no linear map.

        Args:
            batch: token ids [batch, length].

        Raises:
            ValueError: if the model's stages are not the reference's.
        """
        self._begin()
        real = batch != self.computation.pad
        rows, length = batch.shape
        sizes = self.computation.width, self.computation.inner, self.computation.attention_heads
        designs = Designs(rows, length, *sizes, extreme=not bool(real.all()))

        def plant(name: str) -> Mapping[str, Tensor]:
            if name == "embeddings":
                return designs.embeddings()
            return designs.layer(int(name.removeprefix("layers.")), self._features)

        def on_stage(name: str, actual: Mapping[str, Array]) -> None:
            self._judge(name, batch, actual, products=False)

        self.runtime.run_planted(batch.numpy(), real.long().numpy(), plant, on_stage)
        self._end()

    def finish(self) -> None:
        """Settle what depends on all that was compared."""
        super().finish()
        tolerances = {item.name: item.tolerance for item in self.modules.worst}
        for module, shares in self._shares.items():
            self.positions.add(module, shares[:, None] * tolerances[module], torch.zeros(len(shares), 1))

    @property
    def _features(self) -> Tensor:
        """The output of the last stage."""
        if self._x is None:
            raise ValueError("the model never computes embeddings")
        return self._x

    def _begin(self) -> None:
        """Begin with the first stage."""
        self._x, self._stages = None, 0

    def _end(self) -> None:
        """Raise `ValueError` unless every stage was computed."""
        if self._stages != self.computation.layers + 2:
            raise ValueError(
                f"the model computes {self._stages} stages, and the reference {self.computation.layers + 2}"
            )

    def _judge(self, name: str, batch: Tensor, actual: Mapping[str, Array], *, products: bool) -> Tensor:
        """Judge one stage; return of each token the largest part of a limit that is used up."""
        expected = [
            "embeddings",
            *(f"layers.{n}" for n in range(self.computation.layers)),
            "layer_norm",
            "nothing more",
        ]
        if name != expected[self._stages]:
            raise ValueError(f"the model computes {name} where the reference computes {expected[self._stages]}")
        values = {part: as_tensor(array).double() for part, array in actual.items()}
        most = torch.zeros(int((batch != self.computation.pad).sum()), dtype=torch.float64)
        is_planted = name == "embeddings" and not products
        judged = () if is_planted else self.reference.judge(name, batch, self._x, values, products=products)
        for item in judged:
            module = self.computation.target.modules[BUNDLED].path(name, item.part)
            limit = rounding.limit_of(item.magnitude, torch.float64)
            is_sound, used = self.modules.add_judged(module, item.kind, item.expected, item.actual, limit)
            most = torch.maximum(most, used)
            if self.divergence is None and not is_sound:
                whole = values[item.part].clone()
                self.divergence = FirstDivergence(module, name, item.part, batch, whole, is_planted=not products)
        self._x, self._stages = values["out"].clone(), self._stages + 1
        self.tick(1)
        return most
