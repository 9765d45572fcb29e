"""Reference and model in lockstep on the probe: every stage of one is held against the same stage of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from prenorm.mapping.plan import EXTRA_ROW_BIAS
from prenorm.mapping.targets.target import HEAD_STAGE
from prenorm.options import TaskKind
from prenorm.proof.computation import Computation
from prenorm.proof.numbers.differences import Difference, LogitDifference
from prenorm.proof.numbers.modules import ModuleDifferences
from prenorm.proof.numbers.positions import PositionErrors
from prenorm.proof.numbers.sketch import sketch
from prenorm.proof.protocols import Array, ReferenceModel, Runtime, Stage, as_tensor
from prenorm.proof.runtimes import BUNDLED
from prenorm.tokenization.dictionary import UNK

_HEAD_NAME = "classification head"  # the name in the report of a head's first map


@dataclass(frozen=True)
class FirstDivergence:
    """The first part of a stage that differs by more than rounding.

    Attributes:
        module: its name in the report.
        stage: the stage.
        part: the part of the stage.
        batch: the token ids on which it differs, [batch, length].
        actual: what the folder computed there, [batch, length, width]; of a head [batch, width].
        is_planted: whether planted values went in, and not those of the batch.
    """

    module: str
    stage: str
    part: str
    batch: Tensor
    actual: Tensor
    is_planted: bool = False


@dataclass
class Comparison:
    """One reference against one runtime, and how far they are apart.

    Attributes:
        computation: what both compute.
        reference: what computes as fairseq does.
        runtime: what computes the folder.
        tick: called with 1 for every stage that was compared.
        modules: the differences of all stages and their parts.
        logits: the differences of the logits.
        extra: the differences of the vocabulary's extra rows.
        positions: the differences by position.
        divergence: the first part that differs by more than rounding.
        in_float32: whether the runtime computes in float32.
    """

    computation: Computation
    reference: ReferenceModel
    runtime: Runtime
    tick: Callable[[int], None] = lambda steps: None
    modules: ModuleDifferences = field(default_factory=ModuleDifferences)
    logits: Difference = field(default_factory=lambda: LogitDifference("logits"))
    extra: Difference = field(default_factory=lambda: Difference("extra rows"))
    positions: PositionErrors = field(default_factory=PositionErrors)
    divergence: FirstDivergence | None = None
    in_float32: bool = False

    def __post_init__(self) -> None:
        """Compare sketches of logits as numbers: they are no distributions."""
        if self.computation.sketched_rows is not None:
            self.logits = Difference("logits")

    def run(self) -> Comparison:
        """Compare the whole probe.

        Returns:
            This comparison.

        Raises:
            ValueError: if the model's stages are not the reference's.
        """
        with torch.inference_mode():
            for batch in self.computation.batches:
                self.add(batch)
        self.finish()
        return self

    def finish(self) -> None:
        """Settle what depends on all that was compared."""
        # Judged on the scale of the logits: the rows' own scale is that of the bias, which would hide differences.
        # But a folder in float32 cannot tell them finer than float32's step at the bias.
        step = self.extra.scale * torch.finfo(torch.float32).eps if self.in_float32 else 0.0
        self.extra.scale, self.extra.noise = self.logits.scale, self.logits.noise + step
        self.extra.relative = self.logits.relative

    def add(self, batch: Tensor) -> None:
        """Run both sides on one batch; the reference advances one stage whenever the model has computed it.

        Args:
            batch: token ids [batch, length].

        Raises:
            ValueError: if the model's stages are not the reference's.
        """
        # fairseq blanks the pads, Hugging Face does not: what comes out there means nothing
        real = batch != self.computation.pad
        stages = self.stages(batch)
        outputs: dict[str, Tensor] = {}

        def on_stage(name: str, actual: Mapping[str, Array]) -> None:
            reference_name, expected = next(stages, ("nothing more", {}))
            if reference_name != name or not actual.keys() & expected.keys():
                raise ValueError(f"the model computes {name} where the reference computes {reference_name}")
            for part, value in actual.items():
                if part in expected:
                    self.compare(name, part, expected[part], as_tensor(value), batch)
            outputs.update(expected)
            self.tick(1)

        actual = as_tensor(self.runtime.run(batch.numpy(), real.long().numpy(), on_stage))
        self.in_float32 = actual.dtype == torch.float32
        left_out = next(stages, None)
        if left_out is not None:
            raise ValueError(f"the model never computes {left_out[0]}")
        if self.computation.kind is TaskKind.MASKED_LM:
            self.compare_vocabulary(
                real_values(outputs["out"], real), real_values(actual, real), whole=bool(real.all())
            )
        elif self.computation.head is not None:
            self.add_logits(outputs["logits"], actual.double())
        self.tick(1)

    def add_logits(self, expected: Tensor, actual: Tensor) -> None:
        """Compare the outputs of a classification head.

        Args:
            expected: the reference's, [rows, outputs], float64.
            actual: the folder's, of the same shape.
        """
        self.logits.noise = self.reference.noise(f"head.{self.computation.head}", "out")
        self.logits.relative = self.reference.relative_tolerance
        self.logits.add(expected, actual)

    def stages(self, batch: Tensor) -> Iterator[Stage]:
        """Compute the reference's stages, with the classification head's behind them.

        Args:
            batch: token ids [batch, length].

        Yields:
            Each stage's name and parts.
        """
        features: Tensor | None = None
        for name, parts in self.reference.stages(batch):
            features = parts["out"]
            yield name, parts
        if self.computation.head is not None and features is not None:
            head = self.reference.classify(features[:, 0], self.computation.head)
            yield HEAD_STAGE, {"out": head["dense"], "logits": head["out"]}

    def compare(self, stage: str, part: str, expected: Tensor, computed: Tensor, batch: Tensor) -> None:
        """Compare one part of a stage, and keep the first that differs.

        Args:
            stage: the stage.
            part: one of its parts.
            expected: the reference's values, [batch, length, width]; of a head [batch, width]; or their sketch.
            computed: the folder's.
            batch: token ids [batch, length].
        """
        real, is_head = batch != self.computation.pad, stage == HEAD_STAGE
        module = _HEAD_NAME if is_head else self.computation.target.modules[BUNDLED].path(stage, part)
        whole = computed.double() if self.computation.sketched_rows is None else sketch(computed.double())
        if not is_head and part == "out" and bool(real.all()):
            self.positions.add(module, expected[0], whole[0])
        if is_head:
            actual, noise = whole, self.reference.noise(f"head.{self.computation.head}", "dense")
        else:
            expected, actual, noise = (
                real_values(expected, real),
                real_values(whole, real),
                self.reference.noise(stage, part),
            )
        is_sound = self.modules.add(module, expected, actual, noise, self.reference.relative_tolerance)
        if self.divergence is None and not is_sound:
            self.divergence = FirstDivergence(module, stage, part, batch, whole.clone())

    def compare_vocabulary(self, features: Tensor, actual: Tensor, *, whole: bool) -> None:
        """Compare the masked LM's logits, and those of the rows behind the dictionary's.

        Args:
            features: the final stage, [tokens, hidden], float64.
            actual: the folder's logits, [tokens, vocab].
            whole: whether the tokens are one row without pads.
        """
        if self.computation.sketched_rows is not None:
            actual = sketch(actual[:, : self.computation.sketched_rows].double())
        first, rows = torch.empty(0), 0
        for piece in self.reference.logit_pieces(features):
            first = first if rows else piece[:, : UNK + 1].clone()
            columns = actual[:, rows : rows + piece.shape[1]].double()
            self.logits.add_columns(piece, columns)
            if whole:
                self.positions.add("logits", piece, columns)
            rows += piece.shape[1]
        self.logits.end_rows()
        self.logits.noise = self.reference.noise("logits", "out")  # which was measured on the way
        self.logits.relative = self.reference.relative_tolerance
        if self.computation.extra_rows:
            bias = float(torch.tensor(EXTRA_ROW_BIAS, dtype=getattr(torch, self.computation.dtype)))
            extra = self.reference.extra_row_logits(first, UNK, bias)
            self.extra.add(extra.expand(-1, self.computation.extra_rows), actual[:, rows:].double())


def real_values(values: Tensor, real: Tensor) -> Tensor:
    """Return the values of the tokens that are no pads.

    Args:
        values: [batch, length, width].
        real: which tokens are no pads, [batch, length].

    Returns:
        [tokens, width], no copy if all are.
    """
    return values.flatten(0, 1) if bool(real.all()) else values[real]
