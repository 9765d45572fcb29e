"""Model-parallel parts: which dimension of which tensor fairseq's model-parallel RoBERTa cuts among its processes.

Source: fairseq/model_parallel (models/roberta/model.py, modules/) with Megatron's layers. A ColumnParallelLinear cuts its
weight and bias along the outputs (dimension 0), a RowParallelLinear its weight along the inputs (dimension 1) and keeps its
bias whole, a VocabParallelEmbedding cuts rows. Process 0 has the first piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prenorm.checkpoint.container.mapped_file import MappedFile
from prenorm.checkpoint.tensors import LazyTensor, SourceTensor
from prenorm.errors import NotRepresentable, UnreadableCheckpoint
from prenorm.parts.equality import refuse_unequal
from prenorm.parts.grid import recorded
from prenorm.rules.derived import JoinedTensor
from prenorm.rules.rules import match
from prenorm.source.arguments import Arguments, find_arguments
from prenorm.source.layouts import ENCODER, HEADS, LAYER


@dataclass(frozen=True)
class Cut:
    """A family of tensors, and the dimension they are cut along; None where every part has them whole."""

    source: str
    axis: int | None
    reason: str


_COLUMN = "ColumnParallelLinear: each process has some of the outputs"
_OWN_HEADS = "ColumnParallelLinear: each process has its own attention heads"
_ROW = "RowParallelLinear: each process has some of the inputs"
_ROW_BIAS = "RowParallelLinear adds its bias once, behind the sum over the processes"
_NORM = "norms are over the whole width, which every process has"
_COPY = "fairseq 0.12's copy for a fused kernel, made in the shape of what it copies"
CUTS = (
    Cut(ENCODER + "embed_tokens.weight", 0, "VocabParallelEmbedding: each process has some of the rows"),
    Cut(ENCODER + "embed_positions.{rest}", None, "an ordinary embedding"),
    Cut(ENCODER + "layernorm_embedding.{p}", None, _NORM),
    Cut(ENCODER + "layer_norm.{p}", None, _NORM),
    Cut(ENCODER + "version", None, "fairseq's marker; not a weight"),
    *(Cut(f"{LAYER}self_attn.{name}_proj.{{p}}", 0, _OWN_HEADS) for name in "qkv"),
    Cut(LAYER + "self_attn.out_proj.weight", 1, _ROW),
    Cut(LAYER + "self_attn.out_proj.bias", None, _ROW_BIAS),
    Cut(LAYER + "self_attn_layer_norm.{p}", None, _NORM),
    Cut(LAYER + "fc1.{p}", 0, _COLUMN),
    Cut(LAYER + "fc2.weight", 1, _ROW),
    Cut(LAYER + "fc2.bias", None, _ROW_BIAS),
    Cut(LAYER + "final_layer_norm.{p}", None, _NORM),
    *(Cut(f"{LAYER}{name}_{part}", 0, _COPY) for name in ("in_proj", "fc1") for part in ("weight", "bias")),
    *(Cut(f"{LAYER}{name}_weight", 1, _COPY) for name in ("out_proj", "fc2")),
    *(Cut(f"{LAYER}{name}_bias", None, _COPY) for name in ("out_proj", "fc2")),
    Cut("encoder.lm_head.weight", 0, "the embedding's rows: model-parallel heads are always tied"),
    Cut("encoder.lm_head.bias", None, "added to the logits of the whole vocabulary, once they are gathered"),
    Cut("encoder.lm_head.dense.{p}", 0, _COLUMN),
    Cut("encoder.lm_head.layer_norm.{p}", None, _NORM),
    Cut(HEADS + "{head}.dense.{p}", 0, _COLUMN),
    Cut(HEADS + "{head}.out_proj.{p}", None, "an ordinary linear layer, behind the gathered outputs of the dense one"),
)
_ARCHITECTURE = "model_parallel_roberta"
_FINAL_NORM = ENCODER + "layer_norm.weight"


def refuse_lone_part(content: Mapping[str, object], name: str) -> None:
    """Refuse a part that has lost its name, and with it the others.

    Args:
        content: what the file holds.
        name: the file's name, for messages.

    Raises:
        UnreadableCheckpoint: if its attention is narrower than the model by the recorded number of parts.
    """
    model = content.get("model")
    query = model.get(LAYER.format(n=0) + "self_attn.q_proj.weight") if isinstance(model, dict) else None
    if not isinstance(query, LazyTensor) or len(query.shape) != 2 or query.shape[0] == query.shape[1]:
        return
    size = recorded(find_arguments(content), "common", "model_parallel_size") or 1
    if query.shape[0] * size == query.shape[1]:
        raise UnreadableCheckpoint(
            f"it is one of {size} parts of a model-parallel model, and its name does not say which",
            subject=name,
            advice="Put all parts beside it under fairseq's names for them, checkpoint_last-model_part-0.pt and so on",
        )


def vocabulary_multiple(arguments: Arguments) -> int:
    """Tell what fairseq fills the dictionary up to a multiple of.

    Args:
        arguments: what the checkpoint records.

    Returns:
        8 rows for each process that shares a model-parallel model; 1 for any other.
    """
    size = recorded(arguments, "common", "model_parallel_size") or 1
    parallel = size > 1 or (arguments.arch or "").startswith(_ARCHITECTURE)
    return 8 * max(size, 1) if parallel else 1


def join_parts(
    parts: Sequence[Mapping[str, SourceTensor]], files: Sequence[Sequence[MappedFile]]
) -> dict[str, SourceTensor]:
    """Join the tensors of a model that lies in parts.

    Args:
        parts: each process's tensors, whole where FSDP had sharded them.
        files: the files that each part lies in, for messages.

    Returns:
        The whole tensors by name.

    Raises:
        UnreadableCheckpoint: if the parts have different tensors, or a tensor is of no family that is known to be cut
            or whole, or a whole one is not the same in all.
        NotRepresentable: if there is no final norm.
    """
    names = [group[0].name for group in files]
    if _FINAL_NORM not in parts[0]:
        raise NotRepresentable(
            f"the parts hold no '{_FINAL_NORM}': a model-parallel RoBERTa without a norm behind its last layer, as all are "
            "up to fairseq 0.10, and later ones under --no-final-layer-norm or with post-LayerNorm",
            advice="No Hugging Face architecture of this kind is without it",
        )
    for part, name in zip(parts, names, strict=True):
        differing = sorted(part.keys() ^ parts[0].keys())
        if differing:
            raise _unfit(name, f"it has other tensors than {names[0]}: '{differing[0][:80]}' is in one of them only")
    whole: dict[str, SourceTensor] = {}
    joined: dict[tuple[object, ...], SourceTensor] = {}
    same: list[str] = []
    for key in parts[0]:
        pieces = tuple(part[key] for part in parts)
        cut = next((cut for cut in CUTS if match(cut.source, key) is not None), None)
        if cut is None:
            raise _unfit(names[0], f"it is not known how '{key[:120]}' is cut among model-parallel processes")
        if cut.axis is None:
            same.append(key)
            whole[key] = pieces[0]
        else:
            # A tied tensor is saved once under two names, and stays one.
            whole[key] = joined.setdefault((cut.axis, *_place(pieces)), _joined(key, pieces, cut.axis, names))
    refuse_unequal(same, parts, names)
    return whole


def _joined(key: str, pieces: tuple[SourceTensor, ...], axis: int, names: Sequence[str]) -> SourceTensor:
    first = pieces[0]
    for piece, name in zip(pieces, names, strict=True):
        if (piece.shape, piece.dtype) != (first.shape, first.dtype) or len(piece.shape) <= axis:
            raise _unfit(
                name,
                f"'{key[:120]}' is {piece.dtype} of shape {list(piece.shape)}, not {first.dtype} of {list(first.shape)} "
                f"as in {names[0]}",
            )
    shape = tuple(size * len(pieces) if number == axis else size for number, size in enumerate(first.shape))
    return JoinedTensor(pieces, axis, shape)


def _place(pieces: Sequence[SourceTensor]) -> tuple[object, ...]:
    return tuple(
        (piece.dtype, piece.shape, tuple((view.file, view.place, view.shape, view.stride) for view in piece.views))
        for piece in pieces
    )


def _unfit(file: str, what: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(what, subject=file, advice="The parts are damaged, or of different runs")
