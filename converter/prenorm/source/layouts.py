"""The layouts: families of source key names, and the rules that bring each to fairseq's canonical ones.

Canonical are the names of fairseq since 2021, `encoder.sentence_encoder.layers.N.self_attn.q_proj.weight` and so on.
A file can be of several layouts at once (an old one has its prefix, its norms and its attention named otherwise), so they
are undone one after another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.errors import UnreadableCheckpoint
from prenorm.rules.apply import apply_layout
from prenorm.rules.rows import Dropped, Moved, as_moved
from prenorm.rules.rules import Drop, Rename, Split, match

ENCODER = "encoder.sentence_encoder."
LAYER = ENCODER + "layers.{n}."
HEADS = "classification_heads."

# fairseq 0.12.2 overwrites these copies from the real weights whenever it loads a model, and its fused kernel is for
# post-LayerNorm layers only; so whatever they hold, nothing is ever computed with what the file says.
FUSED = tuple(
    Drop(
        f"{LAYER}{name}_{part}",
        "fairseq 0.12's copy for a fused kernel that pre-LayerNorm never takes; the layer computes with the real weights",
    )
    for name in ("in_proj", "out_proj", "fc1", "fc2")
    for part in ("weight", "bias")
)
_EVERYWHERE = (
    Drop(ENCODER + "version", "fairseq's marker of its own state-dict version; not a weight"),
    Drop(ENCODER + "embed_positions._float_tensor", "fairseq's marker of type and device; holds no weight"),
    *FUSED,
)

# A program that wraps a model saves it under the attribute that keeps it: all names have the same words in front. Those
# words mean nothing to the model; what they are known for is said in the report.
WRAPPERS: Mapping[str, str] = {
    "module": "torch's DistributedDataParallel and DataParallel keep the model as `module`",
    "model": "Lightning modules usually keep the model as `model`",
    "_orig_mod": "torch.compile keeps the model as `_orig_mod`",
    "_forward_module": "Lightning with DeepSpeed or FSDP keeps the model as `_forward_module`",
}
_WRAPPED = re.compile(r"((?:\w{1,80}\.){1,8}?)(?:encoder|decoder)\.sentence_encoder\.\w+.*")

# Before 2019 the encoder was called a decoder (fairseq, RobertaModel.upgrade_state_dict_named).
_PREFIX = (
    Rename("decoder.sentence_encoder.{rest}", (ENCODER + "{rest}",), reason="old prefix"),
    Rename("decoder.lm_head.{rest}", ("encoder.lm_head.{rest}",), reason="old prefix"),
)
_EMBEDDING_NORM = (
    Rename(ENCODER + "emb_layer_norm.{p}", (ENCODER + "layernorm_embedding.{p}",), reason="old name of the norm"),
)
# fairseq's TransformerEncoderLayer: norm 0 belongs to attention, norm 1 to the feed-forward block.
_NUMBERED_NORMS = (
    Rename(LAYER + "layer_norms.0.{p}", (LAYER + "self_attn_layer_norm.{p}",), reason="old, numbered norms"),
    Rename(LAYER + "layer_norms.1.{p}", (LAYER + "final_layer_norm.{p}",), reason="old, numbered norms"),
)
# fairseq's MultiheadAttention until November 2019: q, k and v stacked in this order.


def _stacked(source: str, part: str, reason: str) -> Split:
    """Return the rule for a tensor that stacks the weights, or the biases, of query, key and value."""
    return Split(source, tuple(f"{LAYER}self_attn.{name}_proj.{part}" for name in "qkv"), reason)


_PACKED = tuple(
    _stacked(f"{LAYER}self_attn.in_proj_{part}", part, "old attention stacks q, k, v") for part in ("weight", "bias")
)
_DATA2VEC = (
    Drop("encoder._ema.{rest}", "data2vec's teacher, a moving average of the weights; training alone needs it"),
    Drop("encoder.regression_head.{rest}", "data2vec's regression onto its teacher; no masked-LM head"),
)

# DinkyTrain's DeepSpeed kernel: `norm` is the norm before attention, `attn_n` the one before the feed-forward block, the
# reverse of what the names suggest. q, k and v are stacked in this order (DinkyTrain, convert_dsfs_ckpt_to_fs_ckpt.py).
_KERNEL = "DeepSpeed kernel name"
_DEEPSPEED = (
    _stacked(LAYER + "attn_qkvw", "weight", "DeepSpeed kernel stacks q, k, v"),
    _stacked(LAYER + "attn_qkvb", "bias", "DeepSpeed kernel stacks q, k, v"),
    Rename(LAYER + "attn_ow", (LAYER + "self_attn.out_proj.weight",), reason=_KERNEL),
    Rename(LAYER + "attn_ob", (LAYER + "self_attn.out_proj.bias",), reason=_KERNEL),
    Rename(LAYER + "norm_w", (LAYER + "self_attn_layer_norm.weight",), reason=_KERNEL),
    Rename(LAYER + "norm_b", (LAYER + "self_attn_layer_norm.bias",), reason=_KERNEL),
    Rename(LAYER + "inter_w", (LAYER + "fc1.weight",), reason=_KERNEL),
    Rename(LAYER + "inter_b", (LAYER + "fc1.bias",), reason=_KERNEL),
    Rename(LAYER + "output_w", (LAYER + "fc2.weight",), reason=_KERNEL),
    Rename(LAYER + "output_b", (LAYER + "fc2.bias",), reason=_KERNEL),
    Rename(LAYER + "attn_nw", (LAYER + "final_layer_norm.weight",), reason=_KERNEL),
    Rename(LAYER + "attn_nb", (LAYER + "final_layer_norm.bias",), reason=_KERNEL),
)


@dataclass(frozen=True)
class Layout:
    """A family of key names, and the rules that undo it."""

    name: str
    rules: tuple[Rename | Split | Drop, ...]


EVERYWHERE = Layout("standard", _EVERYWHERE)
DEEPSPEED = Layout("deepspeed", _DEEPSPEED)
LAYOUTS = (
    Layout("decoder prefix", _PREFIX),
    Layout("emb_layer_norm", _EMBEDDING_NORM),
    Layout("numbered norms", _NUMBERED_NORMS),
    Layout("packed attention", _PACKED),
    Layout("data2vec", _DATA2VEC),
    DEEPSPEED,
)


@dataclass(frozen=True)
class Canonical:
    """The source tensors under canonical names, those the layouts left out, and the layouts that were met."""

    layouts: tuple[Layout, ...]
    tensors: Mapping[str, Moved]
    dropped: tuple[Dropped, ...]

    @property
    def name(self) -> str:
        """The layouts in words."""
        return ", ".join(layout.name for layout in self.layouts) or "standard"


def wrapper_layout(keys: Iterable[str]) -> Layout | None:
    """Find the words that a wrapping program put in front of all names.

    Args:
        keys: the checkpoint's own names.

    Returns:
        The layout that takes them away: everything before the encoder, or words that are known as a wrapper's; None if the
        names do not all begin with the same such words.
    """
    names = tuple(keys)
    wrapped = next((matched[1] for key in names if (matched := _WRAPPED.fullmatch(key))), "")
    if not wrapped and names:
        known = re.match(rf"(?:(?:{'|'.join(WRAPPERS)})\.)+", names[0])
        wrapped = known[0] if known else ""
    if not wrapped or not all(key.startswith(wrapped) and key != wrapped for key in names):
        return None
    words = wrapped.removesuffix(".").split(".")
    reason = "; ".join(
        WRAPPERS.get(word, f"a wrapping module keeps the model as `{word}`") for word in dict.fromkeys(words)
    )
    return Layout(f"below '{wrapped}'", (Rename(wrapped + "{rest}", ("{rest}",), reason=reason),))


def normalize(tensors: Mapping[str, SourceTensor]) -> Canonical:
    """Bring the source tensors to canonical names.

    Args:
        tensors: the tensors by the checkpoint's own names.

    Returns:
        The tensors by canonical name, with the layouts that were met.

    Raises:
        UnreadableCheckpoint: if two tensors claim one name or a stacked tensor cannot be cut evenly.
    """
    moved = as_moved(tensors)
    met: list[Layout] = []
    dropped: list[Dropped] = []
    wrapper = wrapper_layout(tensors)
    for layout in (*((wrapper,) if wrapper else ()), *LAYOUTS, EVERYWHERE):
        if layout is not EVERYWHERE:
            if not any(match(rule.source, key) is not None for rule in layout.rules for key in moved):
                continue
            met.append(layout)
        moved, left_out, problems = apply_layout(layout.rules, moved)
        dropped += left_out
        if problems:
            raise UnreadableCheckpoint(
                f"the tensors do not form the '{layout.name}' layout",
                problems=problems,
                advice="The checkpoint is damaged",
            )
    return Canonical(tuple(met), moved, tuple(dropped))
