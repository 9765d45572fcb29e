"""The built-in reference for a folder that computes in float64: exact, and with float64's rounding measured along the chain.

In a chain rounding grows from stage to stage, by factors that depend on the model: they are measured. Each batch is computed
twice at once, the second time with every value that goes into an operation off by as much as the operation's roundings can
make it (`prenorm.proof.numbers.rounding`; a backward error, after Higham 2002, section 1.5). How far the two are apart at a
place is what a folder may differ by there. It is taken from the checkpoint's side, so that no folder can widen its own
limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.proof.numbers import rounding
from prenorm.proof.numbers.differences import NOISE_FACTOR
from prenorm.proof.protocols import Judged, Stage
from prenorm.proof.references.builtin import BuiltinReference, ReferenceSettings
from prenorm.proof.references.measured import MeasuredRounding
from prenorm.proof.references.own_inputs import OwnInputs

# Every operation is off on both sides, and is made of some: an error of random sign stands for four.
_OPERATIONS = 4
# The comparison takes NOISE_FACTOR times the measured error.
_FACTOR = rounding.LAMBDA * _OPERATIONS / NOISE_FACTOR
_UNIT = torch.finfo(torch.float64).eps / 2
_SEED = 1954
# Of a whole batch's features so many tokens go through the head with errors, too: they have more values than can be lucky.
_SAMPLE = 8


class _Perturbed(OwnInputs):
    """The reference on tokens of which the last, from `exact_tokens` on, are computed with errors."""

    def __init__(self, tensors: Mapping[str, SourceTensor], settings: ReferenceSettings) -> None:
        super().__init__(tensors, settings)
        self.exact_tokens: int | None = None
        self._generator = torch.Generator()

    def begin(self, exact_tokens: int | None) -> None:
        """Make errors, the same in every run, in all tokens from the given one on; None: in none."""
        self.exact_tokens = exact_tokens
        self._generator.manual_seed(_SEED)

    def _with_errors(self, x: Tensor, roundings: float) -> Tensor:
        """Return values, [tokens, width], of which those with errors are off by so many roundings."""
        if self.exact_tokens is None or x.shape[0] <= self.exact_tokens:
            return x
        return self._add_errors(x.clone(), x, roundings)

    def _add_errors(self, values: Tensor, sizes: Tensor, roundings: float) -> Tensor:
        """Add errors in proportion to the sizes, of the same shape, to the values with errors; return all values."""
        part = values[self.exact_tokens :]
        signs = torch.randint(0, 2, part.shape, generator=self._generator, dtype=torch.int8).double().mul_(2).sub_(1)
        part.addcmul_(sizes[self.exact_tokens :], signs, value=roundings * _UNIT)
        return values

    def _activate(self, x: Tensor, name: str) -> Tensor:
        activated = super()._activate(x, name)
        if self.exact_tokens is None or len(x) <= self.exact_tokens:
            return activated
        # 1 + erf(x) of a negative x is off in proportion to 1, and so its product with x to x.
        return self._add_errors(activated.clone(), x, 1.0)

    def _linear(self, x: Tensor, weight: str, bias: str) -> Tensor:
        return self._with_errors(super()._linear(self._with_errors(x, math.sqrt(x.shape[-1])), weight, bias), 1.0)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
        if self.exact_tokens is not None:
            scores = math.sqrt(q.shape[-1] / self.settings.attention_heads)
            shape, self.exact_tokens, kept = q.shape, real[: len(real) // 2].numel(), self.exact_tokens
            errors = ((q, scores), (k, scores), (v, math.sqrt(q.shape[1])))
            q, k, v = (self._with_errors(part.flatten(0, 1), roundings).view(shape) for part, roundings in errors)
            self.exact_tokens = kept
        return super()._attend(q, k, v, real)

    def _norm(self, x: Tensor, weight: str, bias: str) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        return super()._norm(self._with_errors(flat, 1.0).view(x.shape), weight, bias)


class Float64Reference:
    """The built-in reference in float64, which measures at every stage what rounding comes to.

    Attributes:
        rounding: the differences between the batch with errors and the exact one; pads are left out.
        relative_tolerance: nothing beside what is measured.
    """

    name = BuiltinReference.name
    relative_tolerance = 0.0

    def __init__(self, tensors: Mapping[str, SourceTensor], settings: ReferenceSettings) -> None:
        """Take the source tensors as they are.

        Args:
            tensors: the checkpoint's `model`, under the checkpoint's names.
            settings: what they cannot tell.
        """
        self._computing = _Perturbed(tensors, settings)
        self._pad = settings.pad
        self._off: Tensor | None = None
        self._real = torch.empty(0)
        self.rounding = MeasuredRounding()

    @property
    def used(self) -> set[str]:
        """The source tensors that entered the computation."""
        return self._computing.used

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """Compute the encoder on one batch, exactly and with errors.

        Args:
            input_ids: token ids [batch, length], int64.

        Yields:
            The exact stages; see `BuiltinReference.stages`.
        """
        self._real = input_ids != self._pad
        rows = len(input_ids)
        self._computing.begin(int(self._real.sum()))
        for name, parts in self._computing.stages(torch.cat([input_ids, input_ids])):
            for part, values in parts.items():
                exact, off = values[:rows][self._real], values[rows:][self._real]
                self.rounding.add(name, part, exact - off, exact)
            self._off = parts["out"][rows:]
            yield name, {part: values[:rows] for part, values in parts.items()}

    def judge(
        self, stage: str, input_ids: Tensor, x: Tensor | None, actual: Mapping[str, Tensor], *, products: bool = True
    ) -> Iterator[Judged]:
        """Compute one stage from what the folder took in; see `OwnInputs.judge`.

        Args:
            stage: `embeddings`, `layers.N` or `layer_norm`.
            input_ids: [batch, length], int64.
            x: the folder's output of the stage before; None for the first.
            actual: the folder's values in this stage.
            products: whether to judge the linear maps, too.

        Yields:
            What can be judged, in the order of computation.
        """
        self._off = None
        self._computing.begin(None)
        yield from self._computing.judge(stage, input_ids, x, actual, products=products)

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """Compute the masked-LM head, exactly and with errors, some of the vocabulary at a time.

        Args:
            features: the final stage at tokens of the batch that `stages` was last asked about, [tokens, hidden]; or, after
                `judge`, the folder's own.

        Yields:
            The next columns of the logits, [tokens, some], float64.
        """
        exact, off = features, features[:_SAMPLE] if self._off is None else self._off[self._real]
        self._computing.begin(len(exact))
        for piece in self._computing.logit_pieces(torch.cat([exact, off])):
            self.rounding.add("logits", "out", piece[: len(off)] - piece[len(exact) :], piece[: len(exact)])
            yield piece[: len(exact)]

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """Compute a classification head, exactly and with errors.

        Args:
            features: the first tokens' of the batch that `stages` was last asked about, [rows, hidden]; or, after `judge`,
                the folder's own.
            head: its name in the checkpoint.

        Returns:
            `dense` and `out`; see `BuiltinReference.classify`.
        """
        exact, off = features, features if self._off is None else self._off[:, 0]
        self._computing.begin(len(exact))
        both = self._computing.classify(torch.cat([exact, off]), head)
        for part, values in both.items():
            self.rounding.add(f"head.{head}", part, values[: len(off)] - values[len(exact) :], values[: len(off)])
        return {part: values[: len(exact)] for part, values in both.items()}

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """Compute what a copy of a row of the vocabulary gives, with another bias.

        Args:
            logits: the logits' first columns, [tokens, more than row].
            row: which row is copied.
            bias: the copy's.

        Returns:
            [tokens, 1], float64.
        """
        return self._computing.extra_row_logits(logits, row, bias)

    def noise(self, stage: str, part: str) -> float:
        """Return what rounding comes to at a place, over everything that was run.

        Args:
            stage: a stage, `logits` or `head.NAME`.
            part: one of its parts.

        Returns:
            The largest absolute difference, before the tolerance's own factor.
        """
        return self.rounding.at(stage, part, least=2 * _UNIT, factor=_FACTOR)

    def floor(self) -> None:
        """Return None: what float32 costs is not measured."""
