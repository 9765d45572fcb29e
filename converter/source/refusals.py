"""What is no pre-LayerNorm RoBERTa, or not one that can be held exactly: said early, and with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from converter.errors import NotRepresentable, UnreadableCheckpoint
from converter.mapping import Moved
from converter.source.arguments import Arguments
from converter.source.layouts import ENCODER


def refuse_other_models(keys: list[str]) -> None:
    """Raises `NotRepresentable`, saying what the file seems to be, unless the keys are a fairseq RoBERTa's."""
    if ENCODER + "embed_tokens.weight" in keys:
        return
    seen = (
        (
            r"(roberta|bert|model)\.(embeddings|encoder\.layer)\..*",
            "a Hugging Face model already; nothing is to be converted",
        ),
        (r"feature_extractor\.conv_layers\..*|.*w2v_encoder.*", "a wav2vec 2.0 or HuBERT speech model"),
        (r"decoder\.layers\.\d+\.encoder_attn\..*", "an encoder-decoder model, for translation or the like"),
        (r"decoder\.layers\.\d+\..*", "a decoder-only language model"),
        (r"encoder\.layers\.\d+\..*", "a transformer encoder that is no RoBERTa"),
    )
    for pattern, what in seen:
        key = next((key for key in keys if re.fullmatch(pattern, key)), None)
        if key is not None:
            raise NotRepresentable(f"this is {what} (it has '{key}')", advice="prenorm converts fairseq's RoBERTa only")
    raise NotRepresentable(
        f"this is no fairseq RoBERTa: it has no '{ENCODER}embed_tokens.weight'",
        problems=[f"'{key}'" for key in keys[:5]],
        advice="prenorm converts fairseq's RoBERTa only; the first keys it has are:",
    )


def refuse_post_norm(tensors: Mapping[str, Moved], arguments: Arguments) -> None:
    """The final norm decides, never the flag: fairseq up to 0.10.2 records the flag as true and ignores it."""
    final_norm = f"{ENCODER}layer_norm.weight"
    if final_norm in tensors:
        return
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
        advice="Convert it as plain RoBERTa, with transformers' own script; as RobertaPreLayerNorm it would be wrong",
    )


# Arguments that change what the model computes in a way the target cannot follow: name, what rules it out, and why.
_RULED_OUT: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("no_scale_embedding", lambda value: value is False, "the embeddings are scaled by the square root of the width"),
    ("encoder_learned_pos", lambda value: value is False, "its positions are sinusoidal, not learned"),
    ("no_token_positional_embeddings", bool, "it has no position embeddings"),
    ("adaptive_input", bool, "its input embeddings are adaptive"),
    ("quant_noise_scalar", bool, "its weights pass through scalar quantization noise"),
    ("encoder_layers_to_keep", bool, "only some of its layers are meant to be used"),
)


def refuse_arguments(arguments: Arguments) -> None:
    """Raises `NotRepresentable` for the first argument that the target cannot follow."""
    for name, rules_out, why in _RULED_OUT:
        value = arguments.find(name)
        if value is not None and rules_out(value):
            raise NotRepresentable(
                f"the checkpoint was trained with {name}={value}: {why}",
                advice="This version of prenorm cannot hold that exactly",
            )


def refuse_contradictions(arguments: Arguments, sizes: Mapping[str, int]) -> None:
    """Raises `UnreadableCheckpoint` where an argument states another size than the tensors have."""
    problems = []
    for name, found in sizes.items():
        recorded = arguments.find(name)
        if name == "encoder_layers" and arguments.find("encoder_layers_to_keep"):
            continue
        if type(recorded) is int and recorded != found:
            problems.append(f"{name}={recorded} in the arguments, {found} in the tensors")
    if problems:
        raise UnreadableCheckpoint(
            "arguments and tensors contradict each other",
            problems=problems,
            advice="The checkpoint was put together from two models, or changed after training:",
        )
