"""The built-in reference on a folder's own numbers: each stage is computed from what the folder's stage took in.

A fault then shows where it is made, and as large as it is made, and rounding is that of one stage: its limits can be derived
(`prenorm.proof.numbers.rounding`). Nothing is lost: if every stage gives what it must of what it gets, so does the chain.

Linear maps are not computed twice. Where y = x W^T + b holds, y r = x (W^T r) + b r holds for every r, and where it does not,
random signs r miss it as seldom as all errors of a token cancel (Freivalds 1977; of neural networks Tramèr and Boneh 2019,
arXiv:1806.03287). That takes two products of a matrix with a few vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

from prenorm.proof.numbers import rounding
from prenorm.proof.protocols import Judged
from prenorm.proof.references.builtin import EPSILON, BuiltinReference
from prenorm.proof.references.builtin_functions import activate
from prenorm.proof.references.builtin_names import embedding_norm

_SEED = 1977
_SIGNS = 4
_ROWS_AT_ONCE = 64


class OwnInputs(BuiltinReference):
    """The reference, which computes stages from a folder's numbers."""

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

        Yields:
            What can be judged, in the order of computation.
        """
        real = input_ids != self.settings.pad
        if x is None:
            yield self._judge_embeddings(input_ids, real, actual["out"])
        elif stage == "layer_norm":
            names = f"{self._at}layer_norm.weight", f"{self._at}layer_norm.bias"
            yield self._judge_norm("out", _pick(x, real), _pick(actual["out"], real), names)
        else:
            number = self._layers()[int(stage.removeprefix("layers."))]
            yield from self._judge_layer(number, x, real, actual, products)

    def _judge_embeddings(self, input_ids: Tensor, real: Tensor, actual: Tensor) -> Judged:
        terms = [_pick(term, real) for term in self._embedding_terms(input_ids, real)]
        size = torch.stack([term.abs() for term in terms]).sum(dim=0)
        norm = embedding_norm(self.tensors, self._at)
        total = terms[0] + terms[1] if len(terms) > 1 else terms[0]
        if norm is None:
            return Judged("out", "output", total, _pick(actual, real), size)
        return self._judge_norm("out", total, _pick(actual, real), norm, size)

    def _judge_layer(
        self, n: int, x: Tensor, real: Tensor, actual: Mapping[str, Tensor], products: bool
    ) -> Iterator[Judged]:
        """Yield what a layer computes, each from what the folder computed before it."""
        names = self._names(n)
        flat = {part: _pick(values, real) for part, values in actual.items()}
        entering = _pick(x, real)
        # The three maps get one tensor, or equal ones.
        for part in ("q_proj", "k_proj", "v_proj"):
            if f"{part}.in" in flat:
                yield self._judge_norm(part, entering, flat[f"{part}.in"], names["attention_norm"])
        normed = flat["q_proj.in"]
        if products:
            yield from self._judge_attention_maps(names, normed, flat)
        yield self._judge_attention(real, actual)
        if products:
            yield self._judge_map("out_proj", flat, self._matrix(names["out"][0]), self._get(names["out"][1]))
        after_attention = entering + flat["out_proj"]
        sizes = entering.abs() + flat["out_proj"].abs()
        yield self._judge_norm("fc1", after_attention, flat["fc1.in"], names["ffn_norm"], sizes)
        if products:
            yield self._judge_map("fc1", flat, self._matrix(names["fc1"][0]), self._get(names["fc1"][1]))
        inner = flat["fc1"]
        activated = activate(inner.clone(), self.settings.activation)
        yield Judged("fc2", "input", activated, flat["fc2.in"], torch.maximum(inner.abs(), activated.abs()))
        if products:
            yield self._judge_map("fc2", flat, self._matrix(names["fc2"][0]), self._get(names["fc2"][1]))
        yield Judged("out", "output", after_attention + flat["fc2"], flat["out"], sizes + flat["fc2"].abs())

    def _judge_attention_maps(
        self, names: Mapping[str, tuple[str, str]], normed: Tensor, flat: Mapping[str, Tensor]
    ) -> Iterator[Judged]:
        """Yield the maps to queries, keys and values, which the checkpoint may have in one."""
        parts = ("q_proj", "k_proj", "v_proj")
        if "qkv" in names:
            matrices = self._matrix(names["qkv"][0]).chunk(3)
            biases = self._get(names["qkv"][1]).chunk(3)
            for part, matrix, bias in zip(parts, matrices, biases, strict=True):
                yield self._judge_map(part, {**flat, f"{part}.in": flat.get(f"{part}.in", normed)}, matrix, bias)
            return
        for part in parts:
            weight, bias_name = names[part[0]]
            values = {**flat, f"{part}.in": flat.get(f"{part}.in", normed)}
            yield self._judge_map(part, values, self._matrix(weight), self._get(bias_name))

    def _judge_map(self, part: str, flat: Mapping[str, Tensor], matrix: Tensor, bias: Tensor) -> Judged:
        """Return a linear map's output, and what it must be of its input, both multiplied with random signs."""
        entering, output = flat[f"{part}.in"], flat[part]
        signs = _signs(len(matrix))
        expected = entering @ (matrix.T @ signs) + bias @ signs
        # Some rows at a time stay in the processor's cache; a norm over columns takes twenty times as long.
        squares = torch.stack([rows.square().sum(dim=0) for rows in torch.split(matrix, _ROWS_AT_ONCE)]).sum(dim=0)
        return Judged(part, "product", expected, output @ signs, rounding.of_product(entering, squares, bias))

    def _judge_norm(
        self, part: str, x: Tensor, actual: Tensor, names: tuple[str, str], sizes: Tensor | None = None
    ) -> Judged:
        """Return a LayerNorm of x [tokens, width], which is a sum of terms of these sizes."""
        weight, bias = self._get(names[0]), self._get(names[1])
        centred = x - x.mean(dim=-1, keepdim=True)
        deviation = torch.sqrt((centred * centred).mean(dim=-1, keepdim=True) + EPSILON)
        normed = centred / deviation * weight
        largest = (x.abs() if sizes is None else sizes).amax(dim=-1, keepdim=True)
        magnitude = rounding.of_norm(centred, weight, normed, deviation, largest)
        return Judged(part, "output" if part == "out" else "input", normed + bias, actual, magnitude.add_(bias.abs()))

    def _judge_attention(self, real: Tensor, actual: Mapping[str, Tensor]) -> Judged:
        """Return what attention makes of the folder's queries, keys and values."""
        # What stands at pads is never attended to, and may be anything.
        query, key, value = (actual[part] * real[..., None] for part in ("q_proj", "k_proj", "v_proj"))
        size = query.shape[-1] // self.settings.attention_heads
        magnitude = torch.cat(
            [
                rounding.of_attention(*heads)
                for heads in zip(*(torch.split(part, size, dim=-1) for part in (query, key, value)), strict=True)
            ],
            dim=-1,
        )
        mixed = self._attend(query, key, value, real)
        return Judged(
            "out_proj", "input", _pick(mixed, real), _pick(actual["out_proj.in"], real), _pick(magnitude, real)
        )


def _pick(values: Tensor, real: Tensor) -> Tensor:
    """Return the values [batch, length, width] of the tokens that are no pads: [tokens, width], no copy if all are."""
    return values.flatten(0, 1) if bool(real.all()) else values[real]


@cache
def _signs(rows: int) -> Tensor:
    """Return random signs, [rows, 4], float64, the same in every run."""
    generator = torch.Generator().manual_seed(_SEED + rows)
    with torch.inference_mode(False):
        return torch.randint(0, 2, (rows, _SIGNS), generator=generator).double() * 2 - 1
