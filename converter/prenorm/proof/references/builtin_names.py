"""Under which names the reference finds its weights: fairseq's, and those of older files and of DeepSpeed's kernels.

A table of its own, so that a mistake in `source/layouts.py` shows.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

Pair = tuple[str, str]


def encoder_prefix(keys: Iterable[str]) -> tuple[str, str]:
    """Return the prefixes of the encoder and of the LM head.

    Until 2019 fairseq's RoBERTa called its encoder a decoder. A program that wraps the model puts words in front of both.

    Args:
        keys: the source tensors' names.

    Returns:
        Both, with their dots.

    Raises:
        ValueError: if there is no encoder.
    """
    table = re.compile(r"((?:\w+\.)*)(encoder|decoder)\.sentence_encoder\.embed_tokens\.weight")
    tables = [matched for key in keys if (matched := table.fullmatch(key))]
    if not tables:
        raise ValueError("the reference finds no encoder")
    matched = min(tables, key=lambda matched: len(matched[0]))
    return f"{matched[1]}{matched[2]}.sentence_encoder.", f"{matched[1]}{matched[2]}.lm_head."


def head_prefix(name: str, at: str) -> str:
    """Return the prefix of a classification head, which stands beside the encoder.

    Args:
        name: the head's name.
        at: the encoder's prefix.

    Returns:
        It, with its dot.
    """
    return re.sub(r"(encoder|decoder)\.sentence_encoder\.$", "", at) + f"classification_heads.{name}."


def embedding_norm(keys: Container[str], at: str) -> Pair | None:
    """Return weight and bias of the norm after the embeddings.

    Args:
        keys: the source tensors' names.
        at: the encoder's prefix.

    Returns:
        The pair of names, or None if there is no such norm.
    """
    for name in ("layernorm_embedding", "emb_layer_norm"):
        if f"{at}{name}.weight" in keys:
            return _pair(at + name)
    return None


def layer_names(keys: Container[str], at: str) -> dict[str, Pair]:
    """Return weight and bias of each part of a layer.

    Args:
        keys: the source tensors' names.
        at: the layer's prefix.

    Returns:
        Pairs of names by part; where q, k and v are stacked, `qkv` has them.
    """
    if at + "attn_qkvw" in keys:
        return {
            "attention_norm": (at + "norm_w", at + "norm_b"),
            "qkv": (at + "attn_qkvw", at + "attn_qkvb"),
            "out": (at + "attn_ow", at + "attn_ob"),
            "ffn_norm": (at + "attn_nw", at + "attn_nb"),
            "fc1": (at + "inter_w", at + "inter_b"),
            "fc2": (at + "output_w", at + "output_b"),
        }
    numbered = f"{at}layer_norms.0.weight" in keys
    names = {
        "attention_norm": _pair(at + ("layer_norms.0" if numbered else "self_attn_layer_norm")),
        "out": _pair(at + "self_attn.out_proj"),
        "ffn_norm": _pair(at + ("layer_norms.1" if numbered else "final_layer_norm")),
        "fc1": _pair(at + "fc1"),
        "fc2": _pair(at + "fc2"),
    }
    if f"{at}self_attn.in_proj_weight" in keys:
        return {**names, "qkv": (at + "self_attn.in_proj_weight", at + "self_attn.in_proj_bias")}
    return {**names, **{part: _pair(f"{at}self_attn.{part}_proj") for part in ("q", "k", "v")}}


def _pair(name: str) -> Pair:
    """Return the names of a module's weight and bias."""
    return f"{name}.weight", f"{name}.bias"
