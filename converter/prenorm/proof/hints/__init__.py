"""What a divergence looks like: the known mistakes are made on purpose, and the one that gives the folder's numbers is named.

A mistake is a reference with one thing changed. It is tried on the stage where the sides part and must give what the folder
computed there, so a hint is a finding, not a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.mapping.plan import ConversionPlan
from prenorm.proof.comparison import Comparison, FirstDivergence
from prenorm.proof.hints.permutations import describe_order, row_order
from prenorm.proof.hints.tensors import computing_order, tensor_behind
from prenorm.proof.references.builtin import BuiltinReference, ReferenceSettings
from prenorm.proof.references.settings import settings_of
from prenorm.proof.runtimes import BUNDLED
from prenorm.reports.details import Diagnosis, TensorDifference

# A mistake explains a divergence if it leaves no more than this share of the values' range; mistakes differ by far more.
_EXPLAINED = 1e-6
# And no more than this share of what it has to explain, which may be as small as the rounding of float32.
_LEFT = 0.5


class _OtherEpsilon(BuiltinReference):
    """LayerNorm with Hugging Face's default of 1e-12 for this architecture."""

    eps = 1e-12

    def _norm(self, x: Tensor, weight: str, bias: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        scale = torch.rsqrt((centred * centred).mean(dim=-1, keepdim=True) + self.eps)
        return centred * scale * self._get(weight) + self._get(bias)


class _PositionsFromZero(BuiltinReference):
    """Positions that start at the pad's row."""

    def _positions(self, input_ids: Tensor, real: Tensor) -> Tensor:
        return super()._positions(input_ids, real) - real.long()


class _PositionsOneOn(BuiltinReference):
    """Positions that start one row too late."""

    def _positions(self, input_ids: Tensor, real: Tensor) -> Tensor:
        rows = self.tensors[f"{self._at}embed_positions.weight"].shape[0]
        return (super()._positions(input_ids, real) + real.long()).clamp(max=rows - 1)


class _MaskIgnored(BuiltinReference):
    """Attention that sees the pads. To fairseq they are blank; to Hugging Face, which masks them, they are not."""

    def _embed(self, input_ids: Tensor, real: Tensor) -> Tensor:
        return super()._embed(input_ids, torch.ones_like(real))

    def _positions(self, input_ids: Tensor, real: Tensor) -> Tensor:
        return super()._positions(input_ids, input_ids != self.settings.pad)

    def _computed(self, x: Tensor, real: Tensor) -> Tensor:
        return torch.ones_like(real)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
        return super()._attend(q, k, v, torch.ones_like(real))


class _HeadsInterleaved(BuiltinReference):
    """Heads that take every n-th value instead of neighbours."""

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
        heads, width = self.settings.attention_heads, q.shape[-1]
        order = torch.arange(width).reshape(width // heads, heads).T.reshape(-1)
        mixed = super()._attend(q[..., order], k[..., order], v[..., order], real)
        return mixed[..., order.argsort()]


class _NoEmbeddingNorm(BuiltinReference):
    """The norm after the embeddings left out."""

    def _norm(self, x: Tensor, weight: str, bias: str) -> Tensor:
        return x if "emb" in weight.rpartition(".")[0].rpartition(".")[2] else super()._norm(x, weight, bias)


def _swapped(first: str, second: str) -> type[BuiltinReference]:
    """Return a reference that takes two parts of every layer for each other."""

    class Swapped(BuiltinReference):
        def _names(self, n: int) -> dict[str, tuple[str, str]]:
            names = super()._names(n)
            if first in names and second in names:
                names[first], names[second] = names[second], names[first]
            return names

    return Swapped


Suspect = tuple[str, Callable[[Mapping[str, SourceTensor], ReferenceSettings], BuiltinReference]]

_WRONG_SETTINGS: tuple[Suspect, ...] = (
    ("layer_norm_eps is 1e-12; fairseq's is 1e-5", _OtherEpsilon),
    ("positions start one row too early: fairseq's first token has row pad + 1", _PositionsFromZero),
    ("positions start one row too late: fairseq's first token has row pad + 1", _PositionsOneOn),
    ("the attention mask is ignored, or inverted, so that pads are attended to", _MaskIgnored),
    ("the norm after the embeddings is left out", _NoEmbeddingNorm),
)
_WRONG_TENSORS: tuple[Suspect, ...] = (
    ("the two norms of a layer are swapped", _swapped("attention_norm", "ffn_norm")),
    ("query and key are swapped", _swapped("q", "k")),
    ("key and value are swapped", _swapped("k", "v")),
    ("query and value are swapped", _swapped("q", "v")),
    ("the values of the attention heads are interleaved", _HeadsInterleaved),
)
_ACTIVATIONS = {"gelu": "the exact GELU", "gelu_new": "the tanh form of GELU", "relu": "relu", "tanh": "tanh"}


def _suspects(settings: ReferenceSettings, hidden_size: int) -> Iterator[Suspect]:
    yield from _WRONG_SETTINGS
    yield from _WRONG_TENSORS
    for name, words in _ACTIVATIONS.items():
        yield f"the activation is {words}, not {settings.activation}", _with(replace(settings, activation=name))
    for heads in range(1, min(hidden_size, 128) + 1):
        if hidden_size % heads == 0 and heads != settings.attention_heads:
            other = replace(settings, attention_heads=heads)
            yield f"attention has {heads} heads, not {settings.attention_heads}", _with(other)
    if settings.scaled:
        yield "the embedding is not scaled by the square root of the width", _with(replace(settings, scaled=False))


def _with(settings: ReferenceSettings) -> Callable[[Mapping[str, SourceTensor], ReferenceSettings], BuiltinReference]:
    return lambda tensors, _: BuiltinReference(tensors, settings)


def diagnose(
    comparison: Comparison,
    plan: ConversionPlan,
    tensors: Mapping[str, SourceTensor],
    different: Sequence[TensorDifference] = (),
) -> Diagnosis | None:
    """Describe the first divergence of a comparison.

    Args:
        comparison: the comparison, done.
        plan: what the folder must be.
        tensors: the source tensors under the checkpoint's own names, in the folder's type.
        different: the target tensors that are not as planned, in computing order.

    Returns:
        Where it is, which rule made the tensor that differs, and which mistake gives the folder's numbers or, if none does,
        what that tensor is nearest to; None if nothing diverges.
    """
    at = comparison.divergence
    if at is None:
        return None
    hint = _hint(at, plan, tensors)
    tensor = tensor_behind(at.module, different)
    if tensor is not None:
        known = tensor.brief if tensor.nearest is not None else None
        return Diagnosis(at.module, rule_of(tensor.target, plan), hint or known)
    # All tensors are as planned: a setting is wrong or the model is, unless the plan itself took tensors for each other.
    of_tensors = hint is None or any(hint == words for words, _ in _WRONG_TENSORS)
    return Diagnosis(at.module, rule_of(at.module, plan) if of_tensors else None, hint)


def rule_of(name: str, plan: ConversionPlan) -> str | None:
    """Return what a tensor, or a module's weight, was made of.

    Args:
        name: a target tensor's name, or a module's name in the report.
        plan: what the folder must be.

    Returns:
        Sources, target and operation; None if the plan has no tensor of that name.
    """
    inner = name.removeprefix(plan.target.modules[BUNDLED].base)
    names = {name, plan.target.prefix + inner, inner}
    rows = [row for row in plan.rows if row.target in names or any(row.target.startswith(f"{n}.") for n in names)]
    if not rows:
        return None
    row = min(rows, key=lambda row: computing_order(row.target))
    return f"{' + '.join(row.sources) or row.operation} -> {row.target} ({row.operation})"


def _hint(at: FirstDivergence, plan: ConversionPlan, tensors: Mapping[str, SourceTensor]) -> str | None:
    if not torch.isfinite(at.actual).all():
        return "the folder computes NaN or infinity there"
    if at.stage == "head" or at.is_planted:
        # A linear map and nothing else: the audit of its tensors says all there is to say. Or no number of this batch.
        return None
    settings = settings_of(plan.description)
    real = at.batch != plan.description.pad_id
    with torch.inference_mode():
        right = BuiltinReference(tensors, settings)
        before = _before(right, at)
        apart = _apart(right, at, before, real)
        for words, mistake in _suspects(settings, plan.description.hidden_size):
            mistaken = mistake(tensors, settings)
            entering = _before(mistaken, at) if isinstance(mistaken, _MaskIgnored) else before
            if _apart(mistaken, at, entering, real) <= min(_EXPLAINED, _LEFT * apart):
                return words
        return _other_order(BuiltinReference(tensors, settings), at, before, real)


def _other_order(reference: BuiltinReference, at: FirstDivergence, before: Tensor | None, real: Tensor) -> str | None:
    """Return which rows, or whole heads, changed places, in words."""
    expected = reference.stage(at.stage, at.batch, before)[at.part]
    if at.part == "out" or expected.shape != at.actual.shape:
        return None  # the sum of a layer, not what one matrix gives
    order = row_order(expected[real], at.actual[real], _EXPLAINED)
    if order is None:
        return None
    by_head = at.part in ("q_proj", "k_proj", "v_proj")
    return describe_order(order, reference.settings.attention_heads if by_head else None)


def _before(reference: BuiltinReference, at: FirstDivergence) -> Tensor | None:
    """Return what goes into the stage that diverges: the output of the stage before, on which both sides agree."""
    before = None
    for name, parts in reference.stages(at.batch):
        if name == at.stage:
            return before
        before = parts["out"]
    return before


def _apart(reference: BuiltinReference, at: FirstDivergence, before: Tensor | None, real: Tensor) -> float:
    """Return how far a reference is from what the folder computed at the divergence, as a share of the values' range."""
    try:
        expected = reference.stage(at.stage, at.batch, before).get(at.part)
    except (
        RuntimeError,
        IndexError,
        KeyError,
    ):  # shapes that do not go together, a table that is not there: not this one
        return math.inf
    if expected is None or expected.shape != at.actual.shape:
        return math.inf
    values = expected[real]
    return float((values - at.actual[real]).abs().max() / values.abs().max())
