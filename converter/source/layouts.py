"""The layouts: families of source key names, and the rules that bring each to fairseq's canonical ones.

Canonical are the names of fairseq since 2021, `encoder.sentence_encoder.layers.N.self_attn.q_proj.weight` and so on.
A layout is recognized by a key that only it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converter.checkpoint.tensors import LazyTensor
from converter.errors import UnreadableCheckpoint
from converter.mapping import Drop, Dropped, Moved, Rename, Split, apply_layout, match

ENCODER = "encoder.sentence_encoder."
LAYER = ENCODER + "layers.{n}."

_VERSION = Drop(ENCODER + "version", "fairseq's marker of its own state-dict version; not a weight")
# fairseq 0.12.2 overwrites these copies from the real weights whenever it loads a model, and its fused kernel is for
# post-LayerNorm layers only; so whatever they hold, nothing is ever computed with what the file says.
_FUSED = (
    "fairseq 0.12's copy for a fused kernel that pre-LayerNorm never takes; the layer computes with the real weights"
)
_ALL = (
    _VERSION,
    *(
        Drop(f"{LAYER}{name}_{part}", _FUSED)
        for name in ("in_proj", "out_proj", "fc1", "fc2")
        for part in ("weight", "bias")
    ),
)

# DinkyTrain's DeepSpeed kernel: `norm` is the norm before attention, `attn_n` the one before the feed-forward block, the
# reverse of what the names suggest. q, k and v are stacked in this order (DinkyTrain, convert_dsfs_ckpt_to_fs_ckpt.py).
_KERNEL = "DeepSpeed kernel name"
_DEEPSPEED = (
    Split(
        LAYER + "attn_qkvw",
        (LAYER + "self_attn.q_proj.weight", LAYER + "self_attn.k_proj.weight", LAYER + "self_attn.v_proj.weight"),
        "DeepSpeed kernel stacks q, k, v",
    ),
    Split(
        LAYER + "attn_qkvb",
        (LAYER + "self_attn.q_proj.bias", LAYER + "self_attn.k_proj.bias", LAYER + "self_attn.v_proj.bias"),
        "DeepSpeed kernel stacks q, k, v",
    ),
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
    """A family of key names: `marker` is a pattern only it has (empty: the fallback)."""

    name: str
    marker: str
    rules: tuple[Rename | Split | Drop, ...]
    title: str


STANDARD = Layout("standard", "", _ALL, "fairseq's own names")
DEEPSPEED = Layout("deepspeed", LAYER + "attn_qkvw", (*_DEEPSPEED, *_ALL), "DinkyTrain with DeepSpeed kernels")
LAYOUTS = (DEEPSPEED, STANDARD)


@dataclass(frozen=True)
class Canonical:
    """The source tensors under canonical names, and those the layout left out."""

    layout: Layout
    tensors: Mapping[str, Moved]
    dropped: tuple[Dropped, ...]


def recognize(tensors: Mapping[str, LazyTensor]) -> Layout:
    """The layout the keys are written in."""
    for layout in LAYOUTS:
        if not layout.marker or any(match(layout.marker, key) is not None for key in tensors):
            return layout
    raise AssertionError("the last layout has no marker, so it takes everything")


def normalize(tensors: Mapping[str, LazyTensor]) -> Canonical:
    """Brings the source tensors to canonical names.

    Raises:
        UnreadableCheckpoint: if two tensors claim one name or a stacked tensor cannot be cut evenly.
    """
    layout = recognize(tensors)
    moved, dropped, problems = apply_layout(layout.rules, tensors)
    if problems:
        raise UnreadableCheckpoint(
            f"the tensors do not form the '{layout.name}' layout", problems=problems, advice="The checkpoint is damaged"
        )
    return Canonical(layout, moved, tuple(dropped))
