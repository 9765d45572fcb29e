"""What the names of tensors say: another model than RoBERTa, or one with parts that no target has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prenorm.errors import NotRepresentable
from prenorm.rules.rows import Moved
from prenorm.source.layouts import ENCODER, HEADS
from prenorm.source.sizes import TABLE

CANNOT = "No Hugging Face architecture computes that"

# What other models' names look like, and what they are.
_OTHER_MODELS: tuple[tuple[str, str], ...] = (
    (
        r"((roberta|bert|model)\.)?(embeddings\.word_embeddings|encoder\.layer)\..*",
        "a Hugging Face model already; nothing is to be converted",
    ),
    (r"feature_extractor\.conv_layers\..*|.*w2v_encoder.*", "a wav2vec 2.0 or HuBERT speech model"),
    (r"decoder\.layers\.\d+\.encoder_attn\..*", "an encoder-decoder model, for translation or the like"),
    (r"decoder\.layers\.\d+\..*", "a decoder-only language model"),
    (r"encoder\.layers\.\d+\..*", "a transformer encoder that is no RoBERTa"),
)
# A RoBERTa encoder is only half of these (fairseq's `roberta_enc_dec`). The old prefix of the encoder is undone before.
_DECODERS = (r"decoder\.layers\.\d+\.encoder_attn\..*", r"decoder\..*")


def refuse_other_models(sources: Mapping[str, str]) -> None:
    """Refuse files of other models, saying what they seem to be.

    Args:
        sources: the tensors' names in the file, by their canonical names.

    Raises:
        NotRepresentable: unless the names are a fairseq RoBERTa's.
    """
    if TABLE in sources:
        decoder = _first(_DECODERS, sources)
        if decoder is not None:
            raise NotRepresentable(
                f"this is an encoder-decoder model, whose encoder is a RoBERTa (its decoder has '{decoder}')",
                advice="prenorm converts fairseq's RoBERTa only, and no Hugging Face architecture has fairseq's decoder",
            )
        return
    for pattern, what in _OTHER_MODELS:
        key = _first((pattern,), sources)
        if key is not None:
            raise NotRepresentable(f"this is {what} (it has '{key}')", advice="prenorm converts fairseq's RoBERTa only")
    table = next((key for key in sources if key.endswith("." + TABLE)), None)
    if table is not None:
        within = table.removesuffix(TABLE)
        others = [f"'{name}'" for key, name in sources.items() if not key.startswith(within)]
        raise NotRepresentable(
            f"the RoBERTa in it is a part of something larger: its tensors are below '{within}', beside {len(others)} others",
            problems=others[:5],
            advice=f"Save the tensors below '{within}' alone, with the training arguments; the first others are:",
        )
    raise NotRepresentable(
        f"this is no fairseq RoBERTa: it has no '{TABLE}'",
        problems=[f"'{name}'" for name in list(sources.values())[:5]],
        advice="prenorm converts fairseq's RoBERTa only; the first keys it has are:",
    )


def _first(patterns: Iterable[str], sources: Mapping[str, str]) -> str | None:
    """Return the file's name of the first tensor whose canonical name is of the first pattern that any is of."""
    return next((name for pattern in patterns for key, name in sources.items() if re.fullmatch(pattern, key)), None)


class _RuledOut(NamedTuple):
    """Tensors of a computation that no target follows: their canonical names, what they mean, and what to do."""

    pattern: str
    why: str
    advice: str = CANNOT


_IN_ENCODER = re.escape(ENCODER)
_ANYWHERE = rf"({_IN_ENCODER}|encoder\.lm_head\.|{re.escape(HEADS)})(.*\.)?"
_RULED_OUT_TENSORS: tuple[_RuledOut, ...] = (
    _RuledOut(
        _ANYWHERE + "(centroids|assignments|counts)",
        "its weights are product-quantized (fairseq's modules/quantization/pq), pieces of each stored as the numbers of "
        "centroids",
        "Convert the checkpoint from before quantization",
    ),
    _RuledOut(
        _IN_ENCODER + r"layers\.\d+\.(adapter_modules|adapter_layer_norm)\..*",
        "its layers have adapters for languages (X-MOD, fairseq's models/xmod)",
        "transformers has that architecture (model_type xmod), but prenorm does not convert to it; without its adapters the "
        "model would compute something else",
    ),
    _RuledOut(
        _ANYWHERE + r"lora_(A|B|embedding_A|embedding_B)(\..*)?",
        "it has low-rank updates beside its weights (LoRA)",
        "Add them to the weights that they update, as the program that trained them does (it calls that merging), and "
        "convert the result",
    ),
    _RuledOut(
        _ANYWHERE + r"(\w*_)?adapters?(_\w+)?\..*",
        "its layers have adapters between their parts",
        "No RoBERTa of Hugging Face has them, and they cannot be merged into its weights; convert the checkpoint from "
        "before they were added",
    ),
    _RuledOut(
        _IN_ENCODER + r"layers\.\d+\.self_attn\.bias_[kv]",
        "its attention has a learned extra key and value (add_bias_kv)",
    ),
    _RuledOut(
        _IN_ENCODER + r"(segment_embeddings|embed_segments)\..*",
        "it has segment embeddings, which are trained, not zero",
    ),
    _RuledOut(
        _IN_ENCODER + r"(.*\.)?compress(_k|_v|_layer)\..*", "it is a Linformer, whose keys and values are compressed"
    ),
    _RuledOut(
        _IN_ENCODER + r"quant_noise\..*",
        "quantization noise puts a linear layer between the embeddings and the first layer",
    ),
    _RuledOut(_IN_ENCODER + r"embed_tokens\.embeddings\..*", "its input embeddings are adaptive"),
)


def refuse_tensors(tensors: Mapping[str, Moved]) -> None:
    """Refuse models of another computation by their tensors.

    Args:
        tensors: the source tensors by canonical name.

    Raises:
        NotRepresentable: naming the first tensor that rules it out.
    """
    sources = {key: item.source or key for key, item in tensors.items()}
    for pattern, why, advice in _RULED_OUT_TENSORS:
        key = _first((pattern,), sources)
        if key is not None:
            raise NotRepresentable(f"'{key}' rules it out: {why}", advice=advice)
