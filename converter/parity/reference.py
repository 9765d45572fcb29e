"""The built-in reference: what fairseq's pre-LayerNorm RoBERTa computes, from the source tensors under their own names.

It is here to disagree with us when we are wrong. So it shares no code with `model/` and none with the mapping tables: it
reads the checkpoint's own keys (both the standard and the DeepSpeed names), uses plain operations, and knows the constants
of fairseq (LayerNorm epsilon 1e-5, erf GELU, positions that count non-pad tokens) by itself. The formulas follow the
behaviour of fairseq's TransformerEncoder, MultiheadAttention and RobertaLMHead; tests hold it against outputs that real
fairseq and DinkyTrain recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from converter.checkpoint.tensors import LazyTensor

_S = "encoder.sentence_encoder."
_EPS = 1e-5
_PAD = 1

Stage = tuple[str, dict[str, Tensor]]


class Reference:
    """fairseq's forward in float64, one layer's weights at a time."""

    def __init__(
        self,
        tensors: Mapping[str, LazyTensor],
        *,
        attention_heads: int,
        activation: str,
        head_activation: str,
    ) -> None:
        """Takes the source tensors as they are.

        Args:
            tensors: the checkpoint's `model`, under the checkpoint's names.
            activation: the feed-forward activation, in Hugging Face's or fairseq's name (`gelu`, `gelu_new`).
            head_activation: the LM head's.
        """
        self.tensors = tensors
        self.attention_heads = attention_heads
        self.activation = activation
        self.head_activation = head_activation
        self.used: set[str] = set()

    def stages(self, input_ids: Tensor) -> Iterator[Stage]:
        """The encoder on one batch, stage by stage: embedding, each layer with its parts, final norm.

        Args:
            input_ids: [batch, length], int64.

        Yields:
            The stage's name, and the values of its parts, each [batch, length, width] in float64.
        """
        real = input_ids != _PAD
        x = self._embed(input_ids, real)
        yield "embeddings", {"out": x}
        layer = 0
        while self._has(f"{_S}layers.{layer}."):
            parts = self._layer(layer, x, real)
            x = parts["out"]
            yield f"layers.{layer}", parts
            layer += 1
        yield "layer_norm", {"out": self._norm(x, f"{_S}layer_norm.weight", f"{_S}layer_norm.bias")}

    def logits(self, features: Tensor) -> Tensor:
        """The masked-LM head.

        Args:
            features: [tokens, hidden], after the final norm, float64.

        Returns:
            [tokens, vocab], float64.
        """
        x = self._linear(features, "encoder.lm_head.dense.weight", "encoder.lm_head.dense.bias")
        x = _activate(x, self.head_activation)
        x = self._norm(x, "encoder.lm_head.layer_norm.weight", "encoder.lm_head.layer_norm.bias")
        table = "encoder.lm_head.weight" if "encoder.lm_head.weight" in self.tensors else f"{_S}embed_tokens.weight"
        return self._linear(x, table, "encoder.lm_head.bias")

    def extra_row_logits(self, logits: Tensor, row: int, bias: float) -> Tensor:
        """What a row that copies row `row` of the vocabulary, with `bias` for its bias, must give: [tokens, 1]."""
        own_bias = self._get("encoder.lm_head.bias")[row]
        return logits[:, row : row + 1] - own_bias + bias

    def _embed(self, input_ids: Tensor, real: Tensor) -> Tensor:
        positions = torch.where(real, torch.cumsum(real, dim=1) + _PAD, torch.full_like(input_ids, _PAD))
        x = self._rows(f"{_S}embed_tokens.weight", input_ids) + self._rows(f"{_S}embed_positions.weight", positions)
        if f"{_S}layernorm_embedding.weight" in self.tensors:  # not with --arch roberta_prenorm
            x = self._norm(x, f"{_S}layernorm_embedding.weight", f"{_S}layernorm_embedding.bias")
        return x * real[..., None]  # fairseq blanks the pads here

    def _layer(self, n: int, x: Tensor, real: Tensor) -> dict[str, Tensor]:
        names = _deepspeed_names(n) if f"{_S}layers.{n}.attn_qkvw" in self.tensors else _standard_names(n)
        normed = self._norm(x, *names["attention_norm"])
        if "qkv" in names:
            stacked = self._linear(normed, *names["qkv"])
            width = stacked.shape[-1] // 3
            q, k, v = stacked[..., :width], stacked[..., width : 2 * width], stacked[..., 2 * width :]
        else:
            q, k, v = (self._linear(normed, *names[part]) for part in ("q", "k", "v"))
        mixed = self._linear(self._attend(q, k, v, real), *names["out"])
        after_attention = x + mixed
        inner = self._linear(self._norm(after_attention, *names["ffn_norm"]), *names["fc1"])
        outer = self._linear(_activate(inner, self.activation), *names["fc2"])
        return {
            "q_proj": q,
            "k_proj": k,
            "v_proj": v,
            "out_proj": mixed,
            "fc1": inner,
            "fc2": outer,
            "out": after_attention + outer,
        }

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
        batch, length, width = q.shape
        size = width // self.attention_heads

        def split(t: Tensor) -> Tensor:
            return t.reshape(batch, length, self.attention_heads, size).permute(0, 2, 1, 3)

        scores = split(q * size**-0.5) @ split(k).transpose(-1, -2)
        scores = scores.masked_fill(~real[:, None, None, :], -math.inf)
        weights = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return (weights @ split(v)).permute(0, 2, 1, 3).reshape(batch, length, width)

    def _norm(self, x: Tensor, weight: str, bias: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        return centred / torch.sqrt(variance + _EPS) * self._get(weight) + self._get(bias)

    def _linear(self, x: Tensor, weight: str, bias: str) -> Tensor:
        return x @ self._get(weight).T + self._get(bias)

    def _rows(self, name: str, ids: Tensor) -> Tensor:
        """Rows of a table, widened after they are picked: the table itself is never copied."""
        self.used.add(name)
        picked = self.tensors[name].read()[ids].double()
        self.tensors[name].release()
        return picked

    def _get(self, name: str) -> Tensor:
        """A source tensor in float64; its pages in the file are given back at once."""
        self.used.add(name)
        wide = self.tensors[name].read().to(torch.float64, copy=True)
        self.tensors[name].release()
        return wide

    def _has(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key in self.tensors)


def _activate(x: Tensor, name: str) -> Tensor:
    """GELU and its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    if name == "gelu":
        return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))
    if name == "gelu_new":
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    raise ValueError(f"the reference knows no activation {name!r}")


def _standard_names(n: int) -> dict[str, tuple[str, str]]:
    at = f"{_S}layers.{n}."
    return {
        "attention_norm": (at + "self_attn_layer_norm.weight", at + "self_attn_layer_norm.bias"),
        "q": (at + "self_attn.q_proj.weight", at + "self_attn.q_proj.bias"),
        "k": (at + "self_attn.k_proj.weight", at + "self_attn.k_proj.bias"),
        "v": (at + "self_attn.v_proj.weight", at + "self_attn.v_proj.bias"),
        "out": (at + "self_attn.out_proj.weight", at + "self_attn.out_proj.bias"),
        "ffn_norm": (at + "final_layer_norm.weight", at + "final_layer_norm.bias"),
        "fc1": (at + "fc1.weight", at + "fc1.bias"),
        "fc2": (at + "fc2.weight", at + "fc2.bias"),
    }


def _deepspeed_names(n: int) -> dict[str, tuple[str, str]]:
    at = f"{_S}layers.{n}."
    return {
        "attention_norm": (at + "norm_w", at + "norm_b"),
        "qkv": (at + "attn_qkvw", at + "attn_qkvb"),
        "out": (at + "attn_ow", at + "attn_ob"),
        "ffn_norm": (at + "attn_nw", at + "attn_nb"),
        "fc1": (at + "inter_w", at + "inter_b"),
        "fc2": (at + "output_w", at + "output_b"),
    }
