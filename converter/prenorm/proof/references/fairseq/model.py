"""What fairseq is given to build: arguments, sizes, and the tensors under the checkpoint's names and under canonical ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.proof.references.builtin_names import encoder_prefix
from prenorm.source.arguments import Arguments
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import ENCODER, Canonical
from prenorm.source.positions import PositionKind

# The arguments that reach fairseq, as they are recorded. Not all: fairseq runs `eval` on some texts among its arguments
# (`encoder_xformers_att_config`), and a checkpoint's arguments are not to be trusted.
_RECORDED = (
    "encoder_normalize_before", "layernorm_embedding", "untie_weights_roberta", "no_scale_embedding",
    "encoder_learned_pos", "no_token_positional_embeddings", "pooler_activation_fn", "encoder_layerdrop",
    "encoder_layers_to_keep", "quant_noise_pq", "quant_noise_pq_block_size", "quant_noise_scalar", "adaptive_input",
    "dropout", "attention_dropout", "activation_dropout", "pooler_dropout",
)  # fmt: skip
_VERSION = ENCODER + "version"
_TEACHER = "encoder._ema."


@dataclass(frozen=True)
class FairseqModel:
    """A model for `FairseqReference`.

    `stored` has the tensors under the checkpoint's names, `canonical` under fairseq's names of today, for what this fairseq
    cannot load under the checkpoint's; `sources` says which source tensors each canonical one is made of. `spectral_heads`
    are the heads with spectral norm, with their numbers of outputs and their inner sizes. `lm_activation` is the LM head's
    where it is not the encoder's.
    """

    arguments: Mapping[str, object]
    vocab_size: int
    pad: int
    lm_head: bool
    lm_activation: str | None
    spectral_heads: Mapping[str, tuple[int, int]]
    teacher: bool
    stored: Mapping[str, SourceTensor]
    canonical: Mapping[str, SourceTensor]
    sources: Mapping[str, tuple[str, ...]]


def fairseq_model(
    description: SourceDescription, arguments: Arguments, canonical: Canonical, tensors: Mapping[str, SourceTensor]
) -> FairseqModel:
    """Return what fairseq is given of a checkpoint.

    Args:
        description: the source model.
        arguments: the checkpoint's; those that it does not record are filled in from the description.
        canonical: its tensors under canonical names, the layers that it does not keep left out.
        tensors: its tensors under their own names.

    Returns:
        Arguments, sizes and tensors.
    """
    moved = {name: item.tensor for name, item in canonical.tensors.items()}
    sources = {name: item.sources for name, item in canonical.tensors.items()}
    for item in canonical.dropped:  # without it fairseq takes the file for an old one, which had no final norm
        if item.source.endswith("sentence_encoder.version"):
            moved[_VERSION], sources[_VERSION] = item.tensor, (item.source,)
    other = description.head_activation != description.activation
    return FairseqModel(
        arguments=_arguments(description, arguments),
        vocab_size=description.vocab_size,
        pad=description.pad_id,
        lm_head=description.lm_head,
        lm_activation=_fairseq_name(description.head_activation) if other else None,
        spectral_heads={head.name: (head.outputs, head.inner_size) for head in description.heads if head.spectral_norm},
        teacher=any(name.startswith(_TEACHER) for name in tensors),
        stored=_stored(description, tensors),
        canonical=moved,
        sources=sources,
    )


def _stored(description: SourceDescription, tensors: Mapping[str, SourceTensor]) -> dict[str, SourceTensor]:
    """Return the tensors under the checkpoint's names; a tied matrix under both names, of which FSDP's shards keep one."""
    stored = {name: tensor for name, tensor in tensors.items() if not name.startswith(_TEACHER)}
    encoder, lm_head = encoder_prefix(stored)
    if description.lm_head and description.tied:
        stored.setdefault(f"{lm_head}weight", stored[f"{encoder}embed_tokens.weight"])
    return stored


def _arguments(description: SourceDescription, arguments: Arguments) -> dict[str, object]:
    """Return the arguments: the tensors say what is not recorded, and all sizes, which fairseq checks against them."""
    recorded = {name: value for name in _RECORDED if (value := arguments.find(name)) is not None}
    if description.layers_kept is None:  # nothing to choose: the file was pruned before it was saved
        recorded.pop("encoder_layers_to_keep", None)
    else:
        recorded["encoder_layers_to_keep"] = ",".join(map(str, description.layers_kept))
    return {
        "encoder_normalize_before": True,
        "layernorm_embedding": description.embedding_norm,
        "untie_weights_roberta": not description.tied,
        "no_scale_embedding": not description.scaled_embedding,
        "encoder_learned_pos": description.positions.kind is PositionKind.LEARNED,
        "no_token_positional_embeddings": description.positions.kind is PositionKind.NONE,
        "pooler_activation_fn": description.pooler_activation,
        **{name: value for name, value in recorded.items() if isinstance(value, bool | int | float | str)},
        "arch": "roberta",  # any will do; without one fairseq does not choose layers
        "activation_fn": _fairseq_name(description.activation),
        "encoder_layers": description.layers,
        "encoder_embed_dim": description.hidden_size,
        "encoder_ffn_embed_dim": description.ffn_size,
        "encoder_attention_heads": description.attention_heads,
        "max_positions": description.longest_input,
    }


def _fairseq_name(activation: str) -> str:
    """Return fairseq's name of an activation; `gelu_new` is Hugging Face's, which `--activation` also takes."""
    return "gelu_accurate" if activation == "gelu_new" else activation
