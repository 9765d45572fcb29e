"""The built-in reference: what fairseq's pre-LayerNorm RoBERTa computes, from the source tensors under their own names.

It is here to disagree with us when we are wrong. So it shares no code with `prenorm_model` and none with the mapping
tables: it reads the checkpoint's own keys (`builtin_names.py`), uses plain operations, and knows the constants of fairseq
(LayerNorm epsilon 1e-5, erf GELU, positions that count non-pad tokens) by itself. The formulas follow the behaviour of
fairseq's TransformerEncoder, MultiheadAttention and RobertaLMHead; tests hold it against outputs that real fairseq and
DinkyTrain recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.proof.references.builtin_functions import ComputedTokens, activate, sinusoids
from prenorm.proof.references.builtin_names import embedding_norm, encoder_prefix, head_prefix, layer_names

EPSILON = 1e-5
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class ReferenceSettings:
    """What the tensors cannot tell, in fairseq's terms.

    `positions` is `learned`, `sinusoidal` or `none`, and `position_rows` the sinusoidal table's length; `scaled`: word
    embeddings are multiplied by the square root of the width; `layers`: the file's numbers of the layers to use, all if None.
    """

    attention_heads: int
    activation: str = "gelu"
    head_activation: str = "gelu"
    pad: int = 1
    positions: str = "learned"
    position_rows: int = 0
    scaled: bool = False
    layers: tuple[int, ...] | None = None


class BuiltinReference:
    """fairseq's forward in float64 (or, to measure what that costs, in `dtype`), one layer's weights at a time.

    Attributes:
        tensors: the source tensors under the checkpoint's names.
        settings: what they cannot tell.
        used: the names of those that entered the computation.
        relative_tolerance: nothing, as `noise`.
    """

    name = "builtin"
    relative_tolerance = 0.0

    def __init__(
        self, tensors: Mapping[str, SourceTensor], settings: ReferenceSettings, dtype: torch.dtype = torch.float64
    ) -> None:
        """Take the source tensors as they are.

        Args:
            tensors: the checkpoint's `model`, under the checkpoint's names.
            settings: what the tensors cannot tell.
            dtype: the type to compute in.
        """
        self._dtype = dtype
        self.tensors = tensors
        self.settings = settings
        self.used: set[str] = set()
        self._matrices: dict[tuple[int, ...], Tensor] = {}
        self._at, self._lm = encoder_prefix(tensors)

    def stages(self, input_ids: Tensor) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Compute the encoder on one batch, stage by stage: embedding, each layer with its parts, final norm.

        Args:
            input_ids: [batch, length], int64.

        Yields:
            The stage's name, and the values of its parts, each [batch, length, width] in float64.
        """
        x: Tensor | None = None
        for name in ("embeddings", *(f"layers.{place}" for place in range(len(self._layers()))), "layer_norm"):
            parts = self.stage(name, input_ids, x)
            x = parts["out"]
            yield name, parts

    def stage(self, name: str, input_ids: Tensor, x: Tensor | None) -> dict[str, Tensor]:
        """Compute one stage of the encoder.

        Args:
            name: `embeddings`, `layers.N` or `layer_norm`.
            input_ids: [batch, length], int64.
            x: [batch, length, width], the output of the stage before; None for the first.

        Returns:
            The stage's parts, each [batch, length, width].
        """
        real = input_ids != self.settings.pad
        if x is None:
            return {"out": self._embed(input_ids, real)}
        if name == "layer_norm":
            return {"out": self._norm(x, f"{self._at}layer_norm.weight", f"{self._at}layer_norm.bias")}
        return self._layer(self._layers()[int(name.removeprefix("layers."))], x, real)

    def logits(self, features: Tensor) -> Tensor:
        """Compute the masked-LM head.

        Args:
            features: [tokens, hidden], after the final norm, float64.

        Returns:
            [tokens, vocab], float64.
        """
        return torch.cat(list(self.logit_pieces(features)), dim=-1)

    def logit_pieces(self, features: Tensor) -> Iterator[Tensor]:
        """Compute the masked-LM head, some of the vocabulary at a time.

        In float64 the vocabulary's matrix would take as much memory as several layers.

        Args:
            features: [tokens, hidden], after the final norm, float64.

        Yields:
            The next columns of the logits, [tokens, some], float64.
        """
        x = self._linear(features, f"{self._lm}dense.weight", f"{self._lm}dense.bias")
        x = self._activate(x, self.settings.head_activation)
        x = self._norm(x, f"{self._lm}layer_norm.weight", f"{self._lm}layer_norm.bias")
        untied = f"{self._lm}weight"
        table = untied if untied in self.tensors else f"{self._at}embed_tokens.weight"
        self.used.add(table)
        bias = self._get(f"{self._lm}bias")
        stored = self.tensors[table].read()
        wide = torch.empty(min(_ROWS_AT_ONCE, len(stored)), stored.shape[1], dtype=self._dtype)
        for rows, some in zip(torch.split(stored, _ROWS_AT_ONCE), torch.split(bias, _ROWS_AT_ONCE), strict=True):
            yield torch.nn.functional.linear(x, wide[: len(rows)].copy_(rows), some)
        self.tensors[table].release()

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """Compute what a copy of a row of the vocabulary gives, with another bias.

        Args:
            logits: the logits' first columns, [tokens, more than row].
            row: which row is copied.
            bias: the copy's.

        Returns:
            [tokens, 1], float64.
        """
        return logits[:, row : row + 1] - self._get(f"{self._lm}bias")[row] + bias

    def classify(self, features: Tensor, head: str) -> dict[str, Tensor]:
        """Compute a classification head on each row's first token (dropout is off).

        Args:
            features: [rows, hidden], the first tokens' after the final norm, float64.
            head: its name in the checkpoint.

        Returns:
            `dense` [rows, inner] before its tanh, and `out` [rows, outputs], float64.
        """
        at = head_prefix(head, self._at)
        inner = self._linear(features, f"{at}dense.weight", f"{at}dense.bias")
        weight = (
            self._get(f"{at}out_proj.weight")
            if f"{at}out_proj.weight" in self.tensors
            else self._without_spectral_norm(f"{at}out_proj.weight")
        )
        return {"dense": inner, "out": torch.tanh(inner) @ weight.T + self._get(f"{at}out_proj.bias")}

    def noise(self, stage: str, part: str) -> float:
        """Return 0: in float64 the reference computes exactly.

        Args:
            stage: any stage.
            part: any part.

        Returns:
            0.
        """
        return 0.0

    def floor(self) -> None:
        """Return None: what float32 costs is not measured."""

    def _without_spectral_norm(self, name: str) -> Tensor:
        """Return W / (u W v) with the vectors that training left (Miyato et al. 2018), in the type it is used in."""
        weight, u, v = (self._get(f"{name}_{part}") for part in ("orig", "u", "v"))
        stored = self.tensors[f"{name}_orig"].read().dtype
        return (weight / torch.dot(u, torch.mv(weight, v))).to(stored).to(self._dtype)

    def _layers(self) -> Sequence[int]:
        """Return the file's numbers of the layers to use."""
        if self.settings.layers is not None:
            return self.settings.layers
        number = 0
        while self._has(f"{self._at}layers.{number}."):
            number += 1
        return range(number)

    def _embed(self, input_ids: Tensor, real: Tensor) -> Tensor:
        terms = self._embedding_terms(input_ids, real)
        x = terms[0] + terms[1] if len(terms) > 1 else terms[0]
        norm = embedding_norm(self.tensors, self._at)  # there is none with --arch roberta_prenorm
        if norm is not None:
            x = self._norm(x, *norm)
        return x * real[..., None]  # fairseq blanks the pads here

    def _embedding_terms(self, input_ids: Tensor, real: Tensor) -> list[Tensor]:
        """Return each token's word and, where the model has positions, position, each [batch, length, width]."""
        words = f"{self._at}embed_tokens.weight"
        # In the stored type: scaling by the square root of the width is fairseq's own rounding, not ours.
        terms = [
            self._rows(words, input_ids, math.sqrt(self.tensors[words].shape[1]) if self.settings.scaled else None)
        ]
        positions = self._positions(input_ids, real)
        if self.settings.positions == "learned":
            terms.append(self._rows(f"{self._at}embed_positions.weight", positions))
        elif self.settings.positions == "sinusoidal":
            table = sinusoids(self.settings.position_rows, terms[0].shape[-1], self.settings.pad)
            terms.append(table.to(self.tensors[words].read().dtype)[positions].to(self._dtype))
        return terms

    def _positions(self, input_ids: Tensor, real: Tensor) -> Tensor:
        """Return each token's row of the position table: pad + 1 for the first."""
        pad = self.settings.pad
        return torch.where(real, torch.cumsum(real, dim=1) + pad, torch.full_like(input_ids, pad))

    def _names(self, n: int) -> dict[str, tuple[str, str]]:
        return layer_names(self.tensors, f"{self._at}layers.{n}.")

    def _layer(self, n: int, x: Tensor, real: Tensor) -> dict[str, Tensor]:
        names = self._names(n)
        tokens = ComputedTokens(self._computed(x, real))
        entering = tokens.pick(x)
        normed = self._norm(entering, *names["attention_norm"])
        if "qkv" in names:
            q, k, v = self._linear(normed, *names["qkv"]).chunk(3, dim=-1)
        else:
            q, k, v = (self._linear(normed, *names[part]) for part in ("q", "k", "v"))
        q, k, v = tokens.put_back(q), tokens.put_back(k), tokens.put_back(v)
        mixed = self._linear(tokens.pick(self._attend(q, k, v, real)), *names["out"])
        after_attention = entering + mixed
        inner = self._linear(self._norm(after_attention, *names["ffn_norm"]), *names["fc1"])
        outer = self._linear(self._activate(inner, self.settings.activation), *names["fc2"])
        late = {"out_proj": mixed, "fc1": inner, "fc2": outer, "out": after_attention + outer}
        return {"q_proj": q, "k_proj": k, "v_proj": v} | {name: tokens.put_back(part) for name, part in late.items()}

    def _computed(self, x: Tensor, real: Tensor) -> Tensor:
        """Return which tokens are computed: all but the pads, of which nothing reaches the others.

        fairseq computes the pads, too. Where they hold NaN or infinity, so does this: no mask stops them, 0 * NaN is NaN.
        """
        return real if bool(x[~real].isfinite().all()) else torch.ones_like(real)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
        """Compute attention head by head: one head's scores stay in the processor's cache from one pass to the next."""
        size = q.shape[-1] // self.settings.attention_heads
        mixed = torch.empty_like(q)
        pads = None if bool(real.all()) else ~real[:, None, :]
        for start in range(0, q.shape[-1], size):
            head = slice(start, start + size)
            scores = (q[..., head] * size**-0.5) @ k[..., head].transpose(-1, -2)
            if pads is not None:
                scores.masked_fill_(pads, -math.inf)
            weights = scores.sub_(scores.amax(dim=-1, keepdim=True)).exp_()
            mixed[..., head] = (weights @ v[..., head]) / weights.sum(dim=-1, keepdim=True)
        return mixed

    def _norm(self, x: Tensor, weight: str, bias: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        return centred / torch.sqrt(variance + EPSILON) * self._get(weight) + self._get(bias)

    def _activate(self, x: Tensor, name: str) -> Tensor:
        return activate(x, name)

    def _linear(self, x: Tensor, weight: str, bias: str) -> Tensor:
        return torch.nn.functional.linear(x, self._matrix(weight), self._get(bias))

    def _matrix(self, name: str) -> Tensor:
        """Return a source matrix in float64, in memory that the next one of its shape uses again.

        Asking for new memory is half of the cost.
        """
        self.used.add(name)
        stored = self.tensors[name].read()
        with torch.inference_mode(False):  # what is made in that mode could not be written to outside of it
            wide = self._matrices.setdefault(tuple(stored.shape), torch.empty(stored.shape, dtype=self._dtype))
        wide.copy_(stored)
        self.tensors[name].release()
        return wide

    def _rows(self, name: str, ids: Tensor, factor: float | None = None) -> Tensor:
        """Return rows of a table, times `factor`, widened after they are picked: the table itself is never copied."""
        self.used.add(name)
        picked = self.tensors[name].read()[ids]
        self.tensors[name].release()
        return (picked if factor is None else picked * factor).to(self._dtype)

    def _get(self, name: str) -> Tensor:
        """Return a source tensor in float64; its pages in the file are given back at once."""
        self.used.add(name)
        wide = self.tensors[name].read().to(self._dtype, copy=True)
        self.tensors[name].release()
        return wide

    def _has(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key in self.tensors)
