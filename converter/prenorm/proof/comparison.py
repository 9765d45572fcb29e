"""Reference and model in lockstep on the probe: every stage of one is held against the same stage of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from prenorm.mapping.plan import EXTRA_ROW_BIAS, ConversionPlan
from prenorm.options import TaskKind
from prenorm.proof.numbers.differences import Difference, LogitDifference, ModuleDifferences
from prenorm.proof.numbers.positions import PositionErrors
from prenorm.proof.probe import build_probe
from prenorm.proof.references.builtin import Arguments, Stage
from prenorm.source.description import SourceDescription
from prenorm.tokenization.dictionary import UNK

# The name under which a module of the target stands in the report, by the reference's stage and part.
_STAGE_NAMES = {
    "embeddings": "roberta_prelayernorm.embeddings",
    "layer_norm": "roberta_prelayernorm.LayerNorm",
    "head": "classification head",
}
_PART_NAMES = {
    "q_proj": ".attention.self.query",
    "k_proj": ".attention.self.key",
    "v_proj": ".attention.self.value",
    "out_proj": ".attention.output.dense",
    "fc1": ".intermediate.dense",
    "fc2": ".output.dense",
    "out": "",
}


class ReferenceModel(Protocol):
    """What computes as fairseq does: the built-in reference, or fairseq itself."""

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """The encoder's stages on one batch [batch, length], their parts in float64."""

    def logits(self, features: Tensor) -> Tensor:
        """The masked-LM head on features [tokens, hidden]: [tokens, vocab]."""

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """The same, some of the vocabulary at a time."""

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """A classification head on the first tokens' features [rows, hidden]: `dense` and `out`."""

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """What a copy of the vocabulary's row `row` with another bias gives."""


class Runtime(Protocol):
    """What computes a folder."""

    name: str

    def run(self, input_ids: Tensor, attention_mask: Tensor, on_stage: Callable[[Stage], None]) -> Tensor:
        """One batch; see `BundledRuntime.run`."""


@dataclass(frozen=True)
class Subject:
    """What is computed on both sides: the probe, and what of the model decides how its outputs are compared."""

    batches: tuple[Tensor, ...]
    pad: int
    kind: TaskKind
    head: str | None
    extra_rows: int
    dtype: str
    layers: int

    @classmethod
    def of(cls, plan: ConversionPlan, dtype: str | None = None) -> Subject:
        """The subject of a plan, with the usual probe; `dtype` is the folder's where it is not the plan's."""
        d = plan.description
        return cls(
            tuple(build_probe(d.vocab_size, d.positions.rows, d.pad_id)),
            d.pad_id,
            plan.task.kind,
            plan.task.head.name if plan.task.head else None,
            plan.extra_rows,
            dtype or d.dtype,
            d.layers,
        )


@dataclass(frozen=True)
class Divergence:
    """The first part of a stage that was apart: where, on which batch, and what the folder computed there."""

    module: str
    stage: str
    part: str
    batch: Tensor
    actual: Tensor


@dataclass
class Comparison:
    """One reference against one runtime, and what is found of them batch by batch.

    `noise` gives how far the reference is from an exact computation at a stage's part, where it cannot compute exactly.
    """

    subject: Subject
    reference: ReferenceModel
    runtime: Runtime
    noise: Callable[[str, str], float] = lambda stage, part: 0.0
    tick: Callable[[int], None] = lambda steps: None
    modules: ModuleDifferences = field(default_factory=ModuleDifferences)
    logits: Difference = field(default_factory=lambda: LogitDifference("logits"))
    extra: Difference = field(default_factory=lambda: Difference("extra rows"))
    positions: PositionErrors = field(default_factory=PositionErrors)
    divergence: Divergence | None = None
    in_float32: bool = False

    def run(self) -> Comparison:
        """Compares the whole probe.

        Raises:
            ValueError: if the model's stages are not the reference's.
        """
        with torch.inference_mode():
            for batch in self.subject.batches:
                self.add(batch)
        # Judged on the scale of the logits: the rows' own scale is that of the bias, which would hide differences.
        # But a folder in float32 cannot tell them finer than float32's step at the bias.
        own = self.extra.scale * torch.finfo(torch.float32).eps if self.in_float32 else 0.0
        self.extra.scale, self.extra.noise = self.logits.scale, self.logits.noise + own
        return self

    def add(self, batch: Tensor) -> None:
        """Runs both sides on one batch; the reference advances one stage whenever the model has computed it."""
        # fairseq blanks the pads, Hugging Face does not: what comes out there means nothing
        real = batch != self.subject.pad
        stages = self._stages(batch)
        outputs: dict[str, Tensor] = {}

        def on_stage(stage: Stage) -> None:
            name, actual = stage
            reference_name, expected = next(stages, ("nothing more", {}))
            if reference_name != name or not actual.keys() & expected.keys():
                raise ValueError(f"the model computes {name} where the reference computes {reference_name}")
            for part, value in actual.items():
                if part in expected:
                    self._compare(name, part, expected[part], value, batch)
            outputs.update(expected)
            self.tick(1)

        actual = self.runtime.run(batch, real.long(), on_stage)
        self.in_float32 = actual.dtype == torch.float32
        left_out = next(stages, None)
        if left_out is not None:
            raise ValueError(f"the model never computes {left_out[0]}")
        if self.subject.kind is TaskKind.MASKED_LM:
            self._compare_vocabulary(_real(outputs["out"], real), _real(actual, real), whole=bool(real.all()))
        elif self.subject.head is not None:
            self.logits.noise = self.noise(f"head.{self.subject.head}", "out")
            self.logits.add(outputs["logits"], actual.double())
        self.tick(1)

    def _stages(self, batch: Tensor) -> Iterator[Stage]:
        """The reference's stages, with the classification head's behind them."""
        features: Tensor | None = None
        for name, parts in self.reference.stages(batch):
            features = parts["out"]
            yield name, parts
        if self.subject.head is not None and features is not None:
            head = self.reference.classify(features[:, 0], self.subject.head)
            yield "head", {"out": head["dense"], "logits": head["out"]}

    def _compare(self, stage: str, part: str, expected: Tensor, actual: Tensor, batch: Tensor) -> None:
        real = batch != self.subject.pad
        at = _STAGE_NAMES.get(stage) or "roberta_prelayernorm.encoder.layer." + stage.removeprefix("layers.")
        module = at + _PART_NAMES[part]
        if stage != "head" and part == "out" and bool(real.all()):
            self.positions.add(module, expected[0], actual[0])
        shown = actual = actual.double()
        if stage != "head":
            expected, actual = _real(expected, real), _real(actual, real)
        noise = self.noise(f"head.{self.subject.head}", "dense") if stage == "head" else self.noise(stage, part)
        self.modules.add(module, expected, actual, noise)
        if self.divergence is None and not self.modules.by_name[module].passed:
            self.divergence = Divergence(module, stage, part, batch, shown.clone())

    def _compare_vocabulary(self, features: Tensor, actual: Tensor, *, whole: bool) -> None:
        """The masked LM's logits, [tokens, vocab], and those of the rows behind the dictionary's."""
        first, rows = torch.empty(0), 0
        for piece in self.reference.logit_pieces(features):
            first = first if rows else piece[:, : UNK + 1].clone()
            beside = actual[:, rows : rows + piece.shape[1]].double()
            self.logits.add_columns(piece, beside)
            if whole:
                self.positions.add("logits", piece, beside)
            rows += piece.shape[1]
        self.logits.end_rows()
        self.logits.noise = self.noise("logits", "out")  # which was measured on the way
        if self.subject.extra_rows:
            bias = float(torch.tensor(EXTRA_ROW_BIAS, dtype=getattr(torch, self.subject.dtype)))
            extra = self.reference.extra_row_logits(first, UNK, bias)
            self.extra.add(extra.expand(-1, self.subject.extra_rows), actual[:, rows:].double())


def _real(values: Tensor, real: Tensor) -> Tensor:
    """The values [batch, length, width] of the tokens that are no pads: [tokens, width], without a copy if all are."""
    return values.flatten(0, 1) if bool(real.all()) else values[real]


def reference_arguments(description: SourceDescription) -> Arguments:
    """What the built-in reference needs to know beside the tensors."""
    return Arguments(
        attention_heads=description.attention_heads,
        activation=description.activation,
        head_activation=description.head_activation,
        pad=description.pad_id,
        positions=description.positions.kind,
        position_rows=description.positions.rows,
        scaled=description.scaled_embedding,
        layers=description.layers_kept,
    )
