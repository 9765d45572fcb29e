"""What is no pre-LayerNorm RoBERTa, or not one that can be held exactly: said early, and with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from prenorm.checkpoint.pickle.shown import shown
from prenorm.errors import NotRepresentable, UnreadableCheckpoint
from prenorm.options import TaskKind
from prenorm.rules.rows import Dropped, Moved
from prenorm.source.arguments import Arguments
from prenorm.source.foreign_tensors import CANNOT
from prenorm.source.layouts import ENCODER
from prenorm.source.sizes import LM_MATRIX, TABLE, HeadDescription, first_number
from prenorm.source.training import trained_head


def refuse_post_norm(tensors: Mapping[str, Moved], arguments: Arguments, dropped: Iterable[Dropped]) -> None:
    """Refuse models without a final norm. That decides, never the flag: fairseq up to 0.10.2 records it and ignores it.

    fairseq takes the norm out of a model whose weights say version 1. Its own moving average does so to itself: it
    reloads itself after every step, without the version (fairseq/models/ema/ema.py), and goes on computing without the
    norm.

    Args:
        tensors: the source tensors by canonical name.
        arguments: what the checkpoint records.
        dropped: the tensors that the layouts left out.

    Raises:
        NotRepresentable: if there is no final norm.
    """
    final_norm = f"{ENCODER}layer_norm.weight"
    if final_norm in tensors:
        return
    old = next((item for item in dropped if item.source.endswith(".version") and first_number(item.tensor) < 2), None)
    if old is not None and arguments.find("encoder_normalize_before"):
        raise NotRepresentable(
            f"this is a pre-LayerNorm model that lost its final norm: there is no '{final_norm}', and '{old.source}' is "
            f"{first_number(old.tensor):g}, with which fairseq takes that norm away. Its moving averages (--store-ema) do",
            advice="No Hugging Face architecture computes without that norm; convert the trained weights instead",
        )
    if arguments.find("encoder_normalize_before"):
        cause = (
            "this is a post-LayerNorm model, although its arguments say encoder_normalize_before=True: it has no "
            f"'{final_norm}'. Up to 0.10.2, fairseq's roberta records --encoder-normalize-before, ignores it, and "
            "trains a post-LayerNorm model"
        )
    else:
        cause = f"this is a post-LayerNorm model: it has no '{final_norm}'"
    raise NotRepresentable(
        cause,
        advice="prenorm does not convert post-LayerNorm models yet, and as RobertaPreLayerNorm it would be wrong; "
        "transformers up to 4.47 shipped a script that makes a plain RoBERTa of one, "
        "convert_roberta_original_pytorch_checkpoint_to_pytorch.py",
    )


# Arguments that, where they are set, change what the model computes in a way no target can follow: name, and why.
_RULED_OUT = {
    "adaptive_input": "its input embeddings are adaptive",
    "quant_noise_scalar": "its weights pass through scalar quantization, at evaluation too",
}


def refuse_arguments(arguments: Arguments) -> None:
    """Refuse models that a target cannot follow by their arguments.

    Args:
        arguments: what the checkpoint records.

    Raises:
        NotRepresentable: naming the first argument that rules it out.
    """
    for name, why in _RULED_OUT.items():
        if value := arguments.find(name):
            raise NotRepresentable(f"the checkpoint was trained with {name}={shown(value)}: {why}", advice=CANNOT)


def refuse_pruned(tensors: Mapping[str, Moved], hidden_size: int, ffn_size: int) -> None:
    """Refuse models whose heads or feed-forward blocks were pruned: a target's layers are all of one size.

    Args:
        tensors: the source tensors by canonical name.
        hidden_size: the model's width.
        ffn_size: the width of the first layer's feed-forward block.

    Raises:
        NotRepresentable: naming the layers that are smaller.
    """
    expected = (("self_attn.q_proj.weight", (hidden_size, hidden_size), "heads were pruned"),
                ("fc1.weight", (ffn_size, hidden_size), "feed-forward blocks were pruned"))  # fmt: skip
    problems = []
    why = set()
    for key, item in tensors.items():
        for name, shape, what in expected:
            actual = item.tensor.shape
            is_meant = re.fullmatch(rf"{re.escape(ENCODER)}layers\.\d+\.{re.escape(name)}", key) is not None
            if is_meant and len(actual) == 2 and actual[0] not in (0, shape[0]) and actual[1] == hidden_size:
                problems.append(f"'{item.source}' has {actual[0]} rows, not {shape[0]}")
                why.add(what)
    if problems:
        raise NotRepresentable(
            f"{' and '.join(sorted(why))}, so its layers are not all of one size",
            problems=problems,
            advice=CANNOT + ":",
        )


def refuse_old_version(dropped: Iterable[Dropped]) -> None:
    """Refuse a final norm that fairseq would not use.

    A state-dict version below 2 means to fairseq that nothing is normalized behind the last layer: it takes the norm
    out of the model when it loads such a file (TransformerEncoderBase.upgrade_state_dict_named).

    Args:
        dropped: the tensors that the layouts left out.

    Raises:
        UnreadableCheckpoint: if the version among them is below 2.
    """
    for item in dropped:
        if item.source.endswith(".version") and (version := first_number(item.tensor)) < 2:
            raise UnreadableCheckpoint(
                f"'{item.source}' is {version:g}, which tells fairseq to load the encoder without its final norm, but there "
                f"is a '{ENCODER}layer_norm.weight'",
                advice="The checkpoint was put together from two models, or changed after training",
            )


def refuse_contradictions(
    arguments: Arguments,
    tensors: Mapping[str, Moved],
    *,
    sizes: Mapping[str, int],
    tied: bool,
    heads: Iterable[HeadDescription],
) -> None:
    """Refuse checkpoints whose arguments state something else than the tensors are.

    Args:
        arguments: what the checkpoint records.
        tensors: the source tensors by canonical name.
        sizes: what the tensors say, by the arguments' names.
        tied: whether the LM head's matrix is the embedding.
        heads: the classification heads.

    Raises:
        UnreadableCheckpoint: listing the contradictions.
    """
    removed = arguments.find("ffn_blocks_to_remove")  # fairseq's pruning leaves encoder_ffn_embed_dim as it was
    pruned = removed if type(removed) is int and removed > 0 else 0
    problems = [
        f"{name}={recorded} in the arguments, {actual} in the tensors"
        for name, actual in sizes.items()
        if type(recorded := arguments.find(name)) is int
        and actual not in (recorded, recorded - pruned if name == "encoder_ffn_embed_dim" else recorded)
    ]
    if not tied and arguments.find("untie_weights_roberta") is False:
        problems.append(
            f"untie_weights_roberta=False in the arguments, but '{tensors[LM_MATRIX].source}' is not "
            f"'{tensors[TABLE].source}'"
        )
    norms = (("encoder_normalize_before", "layer_norm.weight"), ("layernorm_embedding", "layernorm_embedding.weight"))
    for name, key in norms:
        recorded, has = arguments.find(name), ENCODER + key in tensors
        if isinstance(recorded, bool) and recorded != has:
            problems.append(
                f"{name}={recorded} in the arguments, {'a' if has else 'no'} '{ENCODER}{key}' in the tensors"
            )
    trained = trained_head(arguments)
    classes = arguments.find("num_classes", "task")
    problems += [
        f"num_classes={classes} in the arguments, {head.outputs} outputs in head '{head.name}'"
        for head in heads
        # For a choice it counts the choices, each with one output.
        if trained is not None and trained.kind is TaskKind.SEQUENCE_CLASSIFICATION and trained.name == head.name
        if type(classes) is int and classes != head.outputs
    ]
    if problems:
        raise UnreadableCheckpoint(
            "arguments and tensors contradict each other",
            problems=problems,
            advice="The checkpoint was put together from two models, or changed after training:",
        )
